import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { PartitionCursor } from "@logbrook/server/mqtt/streams/PartitionCursor"
import { StreamFeed } from "@logbrook/server/mqtt/streams/StreamFeed"
import { type Look, StreamReader } from "@logbrook/server/mqtt/streams/StreamReader"
import { inActor, inMethod, type PlantedFault } from "./Hooks.ts"

type Decision = ReturnType<AnyDefinition["decide"]>

const onReadStream = (own: AnyDefinition, wrong: (decision: Decision) => Decision): Partial<AnyDefinition> => ({
  decide: (state, command, nowMs, room) => {
    const decision = own.decide(state, command, nowMs, room)
    return command._tag === "ReadStream" ? wrong(decision) : decision
  }
})

const without = (decision: Decision, tag: string): Decision => ({
  ...decision,
  events: decision.events.filter(({ _tag }) => _tag !== tag)
})

/** In the readers of streams over MQTT. */
export const streamFaults: ReadonlyArray<PlantedFault> = [
  inActor("the position of a stream moves without its records", "session", (own) =>
    onReadStream(own, (decision) => without(decision, "MessagesQueued"))
  ),
  inActor("the position of a stream does not move", "session", (own) =>
    onReadStream(own, (decision) => without(decision, "StreamPositionMoved"))
  ),
  inActor("a subscription of a stream that is made again begins anew", "session", (own) => ({
    decide: (state, command, nowMs, room) => {
      const { _tag, subscriptions } = command as { _tag: string; subscriptions?: ReadonlyArray<{ filter: string }> }
      const isSubscribe = _tag === "Subscribe" && subscriptions !== undefined
      const resets = isSubscribe ? subscriptions.map(({ filter }) => filter) : undefined
      return own.decide(state, resets === undefined ? command : { ...command, resets }, nowMs, room)
    }
  })),
  inMethod("one record in twenty of a stream is passed over", StreamReader.prototype, "look", (original) => {
    let count = 0
    return (self: StreamReader): Look => {
      const look = original(self) as Look
      return typeof look !== "string" && ++count % 20 === 0 ? "passed" : look
    }
  }),
  inMethod("a reader of a stream is not woken", StreamFeed.prototype, "pump", (original) => {
    let count = 0
    return (self: StreamFeed) => (++count % 4 === 0 ? original(self) : undefined)
  }),
  inMethod("a cursor begins its batch again", PartitionCursor.prototype, "pass", (original) => {
    let count = 0
    return (self: PartitionCursor) => {
      const { position } = self
      original(self)
      if (++count % 25 !== 0) return
      self.letGo()
      self.position = position
    }
  })
]
