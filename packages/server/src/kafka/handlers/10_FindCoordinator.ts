import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { coordinatorRefusal, noTransactions } from "../transactions.ts"

// FindCoordinator 0-6: this node coordinates every group. Left out: transactions (key type 1) and share groups (2).

const keyTypes = { group: 0, transaction: 1 } as const

const needs = { Group: ["Describe"] } as const

const coordinatorOf = (context: ContextOf<typeof needs>, key: string, keyType: number, version: number) => {
  const none = { key, nodeId: -1, host: "", port: -1 }
  if (keyType === keyTypes.group) {
    const { node, advertised } = context
    const group = context.group("Describe", key)
    if (isFailure(group)) return { ...none, errorCode: group.code, errorMessage: group.message }
    const { host, port } = advertised
    return { key, nodeId: node.broker.nodeId, host, port, errorCode: KafkaError.NONE, errorMessage: null }
  }
  const isTransaction = keyType === keyTypes.transaction
  return {
    ...none,
    errorCode: isTransaction ? coordinatorRefusal(version) : KafkaError.INVALID_REQUEST,
    errorMessage: isTransaction ? noTransactions.message : `Key type ${keyType} is not supported.`
  }
}

export const findCoordinatorHandler = handler(FindCoordinator, {
  serves: [0, 6],
  needs,
  handle: (context, request, version) => {
    const keys = version >= 4 ? request.coordinatorKeys : [request.key]
    const coordinators = keys.map((key) => coordinatorOf(context, key, request.keyType, version))
    const [first] = coordinators
    return version >= 4 ? { coordinators } : { ...first }
  }
})
