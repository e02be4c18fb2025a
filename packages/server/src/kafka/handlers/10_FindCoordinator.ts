import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { isFailure } from "../Access.ts"
import type { Failure } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"

// FindCoordinator 0-6: this node coordinates every group and every transaction. Left out: share groups (key type 2).

const keyTypes = { group: 0, transaction: 1 } as const

const needs = { Group: ["Describe"], TransactionalId: ["Describe"] } as const

const deniedKey = (context: ContextOf<typeof needs>, key: string, keyType: number): Failure | undefined => {
  if (keyType === keyTypes.transaction) return context.deniedTransaction("Describe", key)
  const group = context.group("Describe", key)
  return isFailure(group) ? group : undefined
}

const coordinatorOf = (context: ContextOf<typeof needs>, key: string, keyType: number) => {
  const none = { key, nodeId: -1, host: "", port: -1 }
  if (keyType !== keyTypes.group && keyType !== keyTypes.transaction) {
    const errorMessage = `Key type ${keyType} is not supported.`
    return { ...none, errorCode: KafkaError.INVALID_REQUEST, errorMessage }
  }
  const denied = deniedKey(context, key, keyType)
  if (denied !== undefined) return { ...none, errorCode: denied.code, errorMessage: denied.message }
  const { node, advertised } = context
  const { host, port } = advertised
  return { key, nodeId: node.broker.nodeId, host, port, errorCode: KafkaError.NONE, errorMessage: null }
}

export const findCoordinatorHandler = handler(FindCoordinator, {
  serves: [0, 6],
  needs,
  handle: (context, request, version) => {
    const keys = version >= 4 ? request.coordinatorKeys : [request.key]
    const coordinators = keys.map((key) => coordinatorOf(context, key, request.keyType))
    const [first] = coordinators
    return version >= 4 ? { coordinators } : { ...first }
  }
})
