import type { AnyApi } from "./Schema.ts"
import { Produce } from "./messages/00_Produce.ts"
import { Fetch } from "./messages/01_Fetch.ts"
import { ListOffsets } from "./messages/02_ListOffsets.ts"
import { Metadata } from "./messages/03_Metadata.ts"
import { OffsetCommit } from "./messages/08_OffsetCommit.ts"
import { OffsetFetch } from "./messages/09_OffsetFetch.ts"
import { FindCoordinator } from "./messages/10_FindCoordinator.ts"
import { JoinGroup } from "./messages/11_JoinGroup.ts"
import { Heartbeat } from "./messages/12_Heartbeat.ts"
import { LeaveGroup } from "./messages/13_LeaveGroup.ts"
import { SyncGroup } from "./messages/14_SyncGroup.ts"
import { ApiVersions } from "./messages/18_ApiVersions.ts"
import { CreateTopics } from "./messages/19_CreateTopics.ts"
import { DeleteTopics } from "./messages/20_DeleteTopics.ts"
import { DeleteRecords } from "./messages/21_DeleteRecords.ts"
import { InitProducerId } from "./messages/22_InitProducerId.ts"
import { OffsetForLeaderEpoch } from "./messages/23_OffsetForLeaderEpoch.ts"
import { DeleteGroups } from "./messages/42_DeleteGroups.ts"
import { OffsetDelete } from "./messages/47_OffsetDelete.ts"

const declared: ReadonlyArray<AnyApi> = [
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  DeleteRecords,
  InitProducerId,
  OffsetForLeaderEpoch,
  DeleteGroups,
  OffsetDelete
]

/** All declared APIs by key: for dispatch, and for the tables in the documentation. */
export const apis: ReadonlyMap<number, AnyApi> = new Map(declared.map((api) => [api.key, api]))
