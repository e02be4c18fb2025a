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
import { describeGroupsHandler } from "./handlers/15_DescribeGroups.ts"
import { listGroupsHandler } from "./handlers/16_ListGroups.ts"
import { apiVersionsHandler } from "./handlers/18_ApiVersions.ts"
import { createTopicsHandler } from "./handlers/19_CreateTopics.ts"
import { deleteTopicsHandler } from "./handlers/20_DeleteTopics.ts"
import { deleteRecordsHandler } from "./handlers/21_DeleteRecords.ts"
import { initProducerIdHandler } from "./handlers/22_InitProducerId.ts"
import { offsetForLeaderEpochHandler } from "./handlers/23_OffsetForLeaderEpoch.ts"
import { addPartitionsToTxnHandler } from "./handlers/24_AddPartitionsToTxn.ts"
import { addOffsetsToTxnHandler } from "./handlers/25_AddOffsetsToTxn.ts"
import { endTxnHandler } from "./handlers/26_EndTxn.ts"
import { writeTxnMarkersHandler } from "./handlers/27_WriteTxnMarkers.ts"
import { txnOffsetCommitHandler } from "./handlers/28_TxnOffsetCommit.ts"
import { describeAclsHandler } from "./handlers/29_DescribeAcls.ts"
import { createAclsHandler } from "./handlers/30_CreateAcls.ts"
import { deleteAclsHandler } from "./handlers/31_DeleteAcls.ts"
import { describeConfigsHandler } from "./handlers/32_DescribeConfigs.ts"
import { alterConfigsHandler } from "./handlers/33_AlterConfigs.ts"
import { describeLogDirsHandler } from "./handlers/35_DescribeLogDirs.ts"
import { createPartitionsHandler } from "./handlers/37_CreatePartitions.ts"
import { deleteGroupsHandler } from "./handlers/42_DeleteGroups.ts"
import { electLeadersHandler } from "./handlers/43_ElectLeaders.ts"
import { incrementalAlterConfigsHandler } from "./handlers/44_IncrementalAlterConfigs.ts"
import { alterPartitionReassignmentsHandler } from "./handlers/45_AlterPartitionReassignments.ts"
import { listPartitionReassignmentsHandler } from "./handlers/46_ListPartitionReassignments.ts"
import { offsetDeleteHandler } from "./handlers/47_OffsetDelete.ts"
import { describeQuorumHandler } from "./handlers/55_DescribeQuorum.ts"
import { describeClusterHandler } from "./handlers/60_DescribeCluster.ts"
import { describeProducersHandler } from "./handlers/61_DescribeProducers.ts"
import { describeTransactionsHandler } from "./handlers/65_DescribeTransactions.ts"
import { listTransactionsHandler } from "./handlers/66_ListTransactions.ts"
import { listConfigResourcesHandler } from "./handlers/74_ListConfigResources.ts"
import { describeTopicPartitionsHandler } from "./handlers/75_DescribeTopicPartitions.ts"
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
  describeGroupsHandler,
  listGroupsHandler,
  apiVersionsHandler,
  createTopicsHandler,
  deleteTopicsHandler,
  deleteRecordsHandler,
  initProducerIdHandler,
  offsetForLeaderEpochHandler,
  addPartitionsToTxnHandler,
  addOffsetsToTxnHandler,
  endTxnHandler,
  writeTxnMarkersHandler,
  txnOffsetCommitHandler,
  describeAclsHandler,
  createAclsHandler,
  deleteAclsHandler,
  describeConfigsHandler,
  alterConfigsHandler,
  describeLogDirsHandler,
  createPartitionsHandler,
  deleteGroupsHandler,
  electLeadersHandler,
  incrementalAlterConfigsHandler,
  alterPartitionReassignmentsHandler,
  listPartitionReassignmentsHandler,
  offsetDeleteHandler,
  describeQuorumHandler,
  describeClusterHandler,
  describeProducersHandler,
  describeTransactionsHandler,
  listTransactionsHandler,
  listConfigResourcesHandler,
  describeTopicPartitionsHandler
])
