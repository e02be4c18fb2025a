import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import type { Tagged } from "@logbrook/core/actor/Kind"
import { SharedStreamFeed } from "@logbrook/server/mqtt/streams/SharedStreamFeed"
import { inActor, inMethod, type PlantedFault } from "./Hooks.ts"

type Decision = ReturnType<AnyDefinition["decide"]>

const deciding = (
  own: AnyDefinition,
  wrong: (decision: Decision, command: Tagged) => Decision
): Partial<AnyDefinition> => ({
  decide: (state, command: Tagged, nowMs, room) => wrong(own.decide(state, command, nowMs, room), command)
})

const without = (decision: Decision, tag: string): Decision => ({
  ...decision,
  events: decision.events.filter(({ _tag }) => _tag !== tag)
})

const ofGroups = ({ messages = [] }: Tagged & { readonly messages?: ReadonlyArray<{ readonly share?: string }> }) =>
  messages.some(({ share }) => share?.includes("/$stream/") === true)

/** In the groups that read streams. */
export const streamShareFaults: ReadonlyArray<PlantedFault> = [
  inActor("the position of a group moves without the records that it passes", "streamShare", (own) =>
    deciding(own, (decision) => ({
      ...decision,
      events: decision.events.map((event) => (event._tag === "SharePositionMoved" ? { ...event, records: [] } : event))
    }))
  ),
  inActor("the position of a group does not move", "streamShare", (own) =>
    deciding(own, (decision) => without(decision, "SharePositionMoved"))
  ),
  inActor("a record that comes back to its group is not kept", "streamShare", (own) =>
    deciding(own, (decision) => without(decision, "ShareTakenBack"))
  ),
  inActor("a record that was dealt out still waits", "streamShare", (own) =>
    deciding(own, (decision) => without(decision, "ShareHandedOut"))
  ),
  inActor("a group begins anew with each member", "streamShare", (own) => ({
    decide: (state, command: Tagged, nowMs, room) =>
      own.decide(state, command._tag === "Open" ? { ...command, resets: true } : command, nowMs, room)
  })),
  inActor("a group's record is not put into the queue that it was dealt out to", "session", (own) =>
    deciding(own, (decision, command) =>
      command._tag === "Enqueue" && ofGroups(command) ? without(decision, "MessagesQueued") : decision
    )
  ),
  inActor("a client that goes keeps what a group has for it and it was not sent", "session", (own) =>
    deciding(own, (decision, command) => {
      const isOver = decision.events.some(({ _tag }) => _tag === "SessionEnded")
      const isEnd = !isOver && ["Disconnect", "Kick", "LoseConnection"].includes(command._tag)
      if (!isEnd) return decision
      const signals = decision.signals.filter((signal) => signal._tag !== "Notify" || signal.notice._tag !== "HandOn")
      return { ...without(decision, "SharedReleased"), signals }
    })
  ),
  inMethod("a group is not woken", SharedStreamFeed.prototype, "pump", (original) => {
    let count = 0
    return (self: SharedStreamFeed) => (++count % 4 === 0 ? original(self) : undefined)
  })
]
