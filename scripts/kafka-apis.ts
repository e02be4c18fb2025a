import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { apiTable } from "../packages/server/src/kafka/apiTable.ts"

writeFileSync(join(import.meta.dirname, "../docs/kafka-apis.md"), apiTable())
