import type { ShardHarness } from "./ShardHarness.ts"

/** Makes the next turn throw outside of any actor. */
export const breakTurn = (harness: ShardHarness): void => {
  harness.shard.offer({
    to: "counter/1",
    get command(): never {
      throw new Error("the turn is broken")
    },
    cause: {}
  })
  // What throws inside of `decide` fails one caller; a defect's own observer throwing fails the turn.
  harness.defects.push = () => {
    delete (harness.defects as { push?: unknown }).push
    throw new Error("the turn is broken")
  }
}
