import { idOf } from "../payload.ts"
import type { StreamSharerPlan } from "../Plan.ts"
import type { World } from "../World.ts"
import { type Delivery, ShareMember } from "./ShareMember.ts"

const recordOf = ({ properties }: Delivery) => {
  const { stream, partition, offset } = properties?.userProperties ?? {}
  return { stream, partition: Number(partition), offset: Number(offset), place: `${stream}/${partition}:${offset}` }
}

/** A member of a group that reads a stream from its beginning. */
export const streamSharer = (world: World, plan: StreamSharerPlan): ShareMember => {
  const { name } = plan
  const { model } = world
  const { streamShare } = world.mqtt
  /** Packet ids of QoS 2 deliveries that wait for PUBREL: the client's half of the session. */
  const unreleased = new Set<number>()
  return new ShareMember(world, plan, {
    filter: `$share/g/$stream/${plan.stream}`,
    userProperties: { "stream-offset": "earliest" },
    subscribesAgain: 0.3,
    unsubscribes: true,
    onConnected: (sessionPresent) => {
      if (!sessionPresent) unreleased.clear()
    },
    onSubscribed: (granted) => {
      if (granted !== plan.qos) world.violated(`${name} is granted ${String(granted)}`)
    },
    onDelivered: (delivery, { durableSeq }) => {
      const { qos, payload } = delivery
      const { stream, partition, offset, place } = recordOf(delivery)
      const messageId = delivery.messageId!
      world.trace(`${name} gets ${place} qos ${qos} as ${messageId}`)
      const log = stream === plan.stream ? model.logOf(stream, partition) : undefined
      if (log === undefined || qos !== plan.qos || log.ids[offset] !== (idOf(payload) ?? "")) {
        return world.violated(`${name} gets as ${place} with QoS ${qos} what is not there`)
      }
      if (log.seqs[offset]! >= durableSeq) world.violated(`${name} gets ${place} before it is durable`)
      if (!model.transactionsOf(log.id).isVisible(offset)) world.violated(`${name} gets ${place}: not committed`)
      if (qos < 2 || !unreleased.has(messageId)) streamShare.got(name, place, qos)
      if (qos === 2) unreleased.add(messageId)
    },
    onAcknowledged: (delivery) => streamShare.acknowledged(recordOf(delivery).place),
    onReleased: (messageId) => unreleased.delete(messageId),
    waitsFor: (isConnected) => (isConnected ? streamShare.missing(world.plan) : `${name} is not connected`)
  })
}
