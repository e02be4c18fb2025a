import { actorMutants } from "./actors.ts"
import { coreMutants } from "./core.ts"
import type { Mutant } from "./Mutant.ts"
import { protocolMutants } from "./protocols.ts"
import { serverMutants } from "./server.ts"

export const mutants: ReadonlyArray<Mutant> = [...protocolMutants, ...coreMutants, ...actorMutants, ...serverMutants]
