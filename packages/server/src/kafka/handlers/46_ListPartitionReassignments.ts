import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListPartitionReassignments } from "@logbrook/protocols/kafka/messages/46_ListPartitionReassignments"
import { handler } from "../Handler.ts"

// ListPartitionReassignments 0: there is one node, so nothing is ever under way.

export const listPartitionReassignmentsHandler = handler(ListPartitionReassignments, {
  serves: [0, 0],
  needs: { Cluster: ["Describe"] },
  handle: (context) => {
    const denied = context.deniedCluster("Describe")
    if (denied !== undefined) return { errorCode: denied.code, errorMessage: denied.message, topics: [] }
    return { errorCode: KafkaError.NONE, errorMessage: null, topics: [] }
  }
})
