import { produceHandler } from "./handlers/00_Produce.ts"
import { fetchHandler } from "./handlers/01_Fetch.ts"
import { listOffsetsHandler } from "./handlers/02_ListOffsets.ts"
import { metadataHandler } from "./handlers/03_Metadata.ts"
import { offsetCommitHandler } from "./handlers/08_OffsetCommit.ts"
import { offsetFetchHandler } from "./handlers/09_OffsetFetch.ts"
import { findCoordinatorHandler } from "./handlers/10_FindCoordinator.ts"
import { joinGroupHandler } from "./handlers/11_JoinGroup.ts"
import { heartbeatHandler } from "./handlers/12_Heartbeat.ts"
import { leaveGroupHandler } from "./handlers/13_LeaveGroup.ts"
import { syncGroupHandler } from "./handlers/14_SyncGroup.ts"
import { apiVersionsHandler } from "./handlers/18_ApiVersions.ts"
import { createTopicsHandler } from "./handlers/19_CreateTopics.ts"
import { deleteTopicsHandler } from "./handlers/20_DeleteTopics.ts"
import { deleteRecordsHandler } from "./handlers/21_DeleteRecords.ts"
import { initProducerIdHandler } from "./handlers/22_InitProducerId.ts"
import { offsetForLeaderEpochHandler } from "./handlers/23_OffsetForLeaderEpoch.ts"
import { deleteGroupsHandler } from "./handlers/42_DeleteGroups.ts"
import { offsetDeleteHandler } from "./handlers/47_OffsetDelete.ts"
import { Registry } from "./Registry.ts"

/** All APIs of the server. */
export const registry = new Registry([
  produceHandler,
  fetchHandler,
  listOffsetsHandler,
  metadataHandler,
  offsetCommitHandler,
  offsetFetchHandler,
  findCoordinatorHandler,
  joinGroupHandler,
  heartbeatHandler,
  leaveGroupHandler,
  syncGroupHandler,
  apiVersionsHandler,
  createTopicsHandler,
  deleteTopicsHandler,
  deleteRecordsHandler,
  initProducerIdHandler,
  offsetForLeaderEpochHandler,
  deleteGroupsHandler,
  offsetDeleteHandler
])
