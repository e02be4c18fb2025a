import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeCluster } from "@logbrook/protocols/kafka/messages/60_DescribeCluster"
import { clusterOperations } from "../authorizedOperations.ts"
import { handler } from "../Handler.ts"

// DescribeCluster 0-2: this node, which is never fenced. Left out: endpoints of controllers, which brokers do not tell.

const endpointTypes = { broker: 1, controller: 2 } as const

export const describeClusterHandler = handler(DescribeCluster, {
  serves: [0, 2],
  needs: {},
  handle: (context, { endpointType, includeClusterAuthorizedOperations }) => {
    const { clusterId, nodeId } = context.node.broker
    if (endpointType !== endpointTypes.broker) {
      const isKnown = endpointType === endpointTypes.controller
      return {
        errorCode: isKnown ? KafkaError.MISMATCHED_ENDPOINT_TYPE : KafkaError.UNSUPPORTED_ENDPOINT_TYPE,
        errorMessage: isKnown
          ? "The request was sent to an endpoint of the wrong type."
          : `Unsupported endpoint type ${endpointType}`,
        endpointType,
        clusterId: "",
        brokers: []
      }
    }
    const authorized = includeClusterAuthorizedOperations
      ? { clusterAuthorizedOperations: clusterOperations(context) }
      : {}
    return {
      errorCode: KafkaError.NONE,
      clusterId,
      controllerId: nodeId,
      brokers: [{ brokerId: nodeId, ...context.advertised }],
      ...authorized
    }
  }
})
