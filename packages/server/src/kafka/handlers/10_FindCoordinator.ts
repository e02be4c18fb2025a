import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { handler, type RequestContext } from "../Handler.ts"
import { coordinatorRefusal, noTransactions } from "../transactions.ts"

// FindCoordinator 0-6: this node coordinates every group. Left out: transactions (key type 1) and share groups (2).

const keyTypes = { group: 0, transaction: 1 } as const

const coordinatorOf = ({ node, advertised }: RequestContext, key: string, keyType: number, version: number) => {
  if (keyType === keyTypes.group) {
    const { host, port } = advertised
    return { key, nodeId: node.broker.nodeId, host, port, errorCode: KafkaError.NONE as number, errorMessage: null }
  }
  const isTransaction = keyType === keyTypes.transaction
  return {
    key,
    nodeId: -1,
    host: "",
    port: -1,
    errorCode: isTransaction ? coordinatorRefusal(version) : KafkaError.INVALID_REQUEST,
    errorMessage: isTransaction ? noTransactions.message : `Key type ${keyType} is not supported.`
  }
}

export const findCoordinatorHandler = handler(FindCoordinator, {
  serves: [0, 6],
  handle: (context, request, version) => {
    const keys = version >= 4 ? request.coordinatorKeys : [request.key]
    const coordinators = keys.map((key) => coordinatorOf(context, key, request.keyType, version))
    const [first] = coordinators
    return version >= 4 ? { coordinators } : { ...first }
  }
})
