import { idOf } from "../payload.ts"
import type { SharerPlan } from "../Plan.ts"
import type { World } from "../World.ts"
import { ShareMember } from "./ShareMember.ts"

/** A member of a shared subscription of messages. */
export const sharer = (world: World, plan: SharerPlan): ShareMember => {
  const { name } = plan
  const { mqtt, model, scheduler } = world
  const { shared } = mqtt
  const isLong = plan.session === "long"
  return new ShareMember(world, plan, {
    filter: "$share/g/s/#",
    unsubscribes: !isLong,
    onConnected: () => shared.connected(model.epoch, scheduler.elapsedMs),
    onSubscribed: () => {
      if (isLong) shared.began(scheduler.elapsedMs)
    },
    onDelivered: ({ qos, topic, payload, messageId }, { durableSeq }) => {
      const id = idOf(payload)
      const publication = id === undefined ? undefined : mqtt.publications.get(id)
      if (publication === undefined) world.violated(`${name} gets on ${topic} what nobody has published`)
      world.trace(`${name} gets ${publication.id} qos ${qos} as ${messageId}`)
      mqtt.checkDurable(`${name} gets`, publication.id, topic, durableSeq)
      if (qos > plan.qos || qos > publication.qos) world.violated(`${name} gets ${id} with QoS ${qos}`)
      shared.got(name, publication, qos)
    },
    onAcknowledged: ({ payload }) => shared.acknowledged(idOf(payload)!),
    waitsFor: () => (isLong ? shared.missing(world.plan) : undefined)
  })
}
