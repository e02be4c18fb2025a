import { address, kind, tell, type Address, type OnAnswer } from "@logbrook/core/actor/Kind"
import { answerOf, CommandList, fromEntry, type ListAnswer, NotDecided } from "@logbrook/core/shard/CommandList"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { Shards } from "@logbrook/core/shard/Shards"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { expect, it } from "vitest"

class DoorRefused {
  readonly _tag = "DoorRefused"
}

type DoorCommand = { readonly _tag: "Open"; readonly by: string } | { readonly _tag: "Count" }
interface DoorReplies {
  readonly Open: { readonly isOpen: boolean }
  readonly Count: number
}
const Door = kind<{
  command: DoorCommand
  replies: DoorReplies
  failure: DoorRefused
  event: { readonly _tag: "Opened" }
  notice: never
}>()("door")
const door = (name: string): Address<typeof Door> => address(Door, name)

const Lamp = kind<{
  command: { readonly _tag: "Switch" }
  replies: { readonly Switch: boolean }
  failure: never
  event: { readonly _tag: "Switched" }
  notice: never
}>()("lamp")

const Dimmer = kind<{
  command: { readonly _tag: "Dim"; readonly percent: number; readonly isSlow?: boolean }
  replies: { readonly Dim: { readonly percentBefore: number; readonly name: string } }
  failure: never
  event: { readonly _tag: "Dimmed" }
  notice: never
}>()("dimmer")

type OpenReply = DoorReplies["Open"]

const told = (): void => undefined

/** Never run: what must not compile. `tsc` fails if one of these is no error. */
export const wrong = (shard: Shard): void => {
  // @ts-expect-error no such command of a door
  shard.unsafeAsk(door("d"), { _tag: "Switch" }, {}, told)
  // @ts-expect-error a field of the command is missing
  shard.unsafeAsk(door("d"), { _tag: "Open" }, {}, told)
  // @ts-expect-error a reply taken for another command's
  shard.unsafeAsk(door("d"), { _tag: "Count" }, {}, (exit: Exit.Exit<OpenReply, DoorRefused>) => void exit)
  // @ts-expect-error a failure that a door does not have
  shard.unsafeAsk(door("d"), { _tag: "Count" }, {}, (exit: Exit.Exit<number, { _tag: "Other" }>) => void exit)
  // @ts-expect-error an id that nobody has made an address
  shard.unsafeAsk("door/d", { _tag: "Count" }, {}, told)
  // @ts-expect-error a door's command for a lamp
  tell(address(Lamp, 1), { _tag: "Count" })
  // @ts-expect-error a protocol whose command has no reply
  kind<{ command: DoorCommand; replies: { Open: boolean }; failure: never; event: never; notice: never }>()("half")
  const lamps: Address<typeof Lamp> = address(Lamp, 1)
  // @ts-expect-error a lamp's address is no door's
  shard.unsafeAsk<typeof Door, { readonly _tag: "Count" }>(lamps, { _tag: "Count" }, {}, told)
}

/** Never run either: what is asked by an Effect. */
export const wrongEffect = (shards: Shards): void => {
  // @ts-expect-error no such command of a door
  void shards.ask(door("d"), { _tag: "Switch" }, {})
  // @ts-expect-error a field of the command is missing
  void shards.ask(door("d"), { _tag: "Open" }, {})
  // @ts-expect-error an id that nobody has made an address
  void shards.ask("door/d", { _tag: "Count" }, {})
  const counted: Effect.Effect<number, DoorRefused> = shards.ask(door("d"), { _tag: "Count" }, {})
  // @ts-expect-error a reply taken for another command's
  const opened: Effect.Effect<OpenReply, DoorRefused> = shards.ask(door("d"), { _tag: "Count" }, {})
  // @ts-expect-error a failure that a door has, and that nobody has caught
  const sure: Effect.Effect<number> = shards.ask(door("d"), { _tag: "Count" }, {})
  // @ts-expect-error a lamp is never refused
  void Effect.catchTag(shards.ask(address(Lamp, 1), { _tag: "Switch" }, {}), "DoorRefused", () => Effect.void)
  void [counted, opened, sure]
}

/** Never run either: lists of commands. */
export const wrongList = (list: CommandList, answer: ListAnswer): void => {
  const dimmer = address(Dimmer, 1)
  // @ts-expect-error a door's command for a dimmer
  list.add(dimmer, { _tag: "Open", by: "me" })
  // @ts-expect-error a field of the command is missing
  list.add(dimmer, { _tag: "Dim" })
  // @ts-expect-error a field that the command does not have
  list.add(dimmer, { _tag: "Dim", percent: 3, colour: "red" })
  const dimmed = list.add(dimmer, { _tag: "Dim", percent: 3 })
  list.add(dimmer, { _tag: "Dim", percent: fromEntry(dimmed, "percentBefore") }, [dimmed])
  // @ts-expect-error a field that the entry's reply does not have
  fromEntry(dimmed, "percent")
  // @ts-expect-error a field of the reply that is no number
  list.add(dimmer, { _tag: "Dim", percent: fromEntry(dimmed, "name") })
  // @ts-expect-error a field that may be left out is not of any type
  list.add(dimmer, { _tag: "Dim", percent: 3, isSlow: fromEntry(dimmed, "name") })
  // @ts-expect-error a number is no entry
  fromEntry(0, "percentBefore")
  const exit = answerOf(answer, dimmed)
  // @ts-expect-error an answer taken for another entry's
  const count: Exit.Exit<number, NotDecided> = exit
  void count
}

it("is an actor's id at run time", () => {
  expect(door("front")).toBe("door/front")
  expect(tell(door("front"), { _tag: "Count" })).toEqual({ _tag: "Tell", to: "door/front", command: { _tag: "Count" } })
})

it("gives a command's caller the reply of that command", () => {
  const seen: Array<number> = []
  const onAnswer: OnAnswer<typeof Door, { readonly _tag: "Count" }> = (exit) => {
    if (Exit.isSuccess(exit)) seen.push(exit.value + 1)
  }
  onAnswer(Exit.succeed(2))
  expect(seen).toEqual([3])
})
