import { actorFaults } from "./actorFaults.ts"
import { compactionFaults } from "./compactionFaults.ts"
import { coordinatorFaults } from "./coordinatorFaults.ts"
import type { PlantedFault } from "./Hooks.ts"
import { journalFaults } from "./journalFaults.ts"
import { mqtt31Faults } from "./mqtt31Faults.ts"
import { settleFaults } from "./settleFaults.ts"
import { shellFaults } from "./shellFaults.ts"
import { streamFaults } from "./streamFaults.ts"
import { streamShareFaults } from "./streamShareFaults.ts"
import { transactionFaults } from "./transactionFaults.ts"

/** Each must be caught by one of the first thousand seeds. */
export const plantedFaults: ReadonlyArray<PlantedFault> = [
  ...journalFaults,
  ...settleFaults,
  ...compactionFaults,
  ...actorFaults,
  ...shellFaults,
  ...streamFaults,
  ...streamShareFaults,
  ...mqtt31Faults,
  ...transactionFaults,
  ...coordinatorFaults
]
