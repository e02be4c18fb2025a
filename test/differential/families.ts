import type { Family } from "./Case.ts"
import { accessFamily } from "./cases/access.ts"
import { adminFamily } from "./cases/admin.ts"
import { brokersFamily } from "./cases/brokers.ts"
import { clusterFamily } from "./cases/cluster.ts"
import { configsFamily } from "./cases/configs.ts"
import { edgesFamily } from "./cases/edges.ts"
import { fetchFamily } from "./cases/fetch.ts"
import { listOffsetsFamily } from "./cases/listOffsets.ts"
import { membersFamily } from "./cases/members.ts"
import { offsetsFamily } from "./cases/offsets.ts"
import { produceFamily } from "./cases/produce.ts"
import { topicSettingsFamily } from "./cases/topicSettings.ts"
import { topicValuesFamily } from "./cases/topicValues.ts"
import { topicsFamily } from "./cases/topics.ts"
import { transactionsFamily } from "./cases/transactions.ts"

/** In this order: later ones find what earlier ones have written. */
export const families: ReadonlyArray<Family> = [
  clusterFamily,
  topicsFamily,
  produceFamily,
  fetchFamily,
  listOffsetsFamily,
  offsetsFamily,
  { ...topicsFamily, name: "topics with records" },
  topicSettingsFamily,
  topicValuesFamily,
  transactionsFamily,
  brokersFamily,
  configsFamily,
  adminFamily,
  accessFamily,
  edgesFamily,
  membersFamily
]
