import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { apiTable } from "../packages/server/src/kafka/apiTable.ts"
import { registry } from "../packages/server/src/kafka/handlers.ts"

writeFileSync(join(import.meta.dirname, "../docs/kafka-apis.md"), apiTable(registry))
