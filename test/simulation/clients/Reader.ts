import { zstdSoftware } from "../SimServer.ts"
import type { ReaderPlan } from "../Plan.ts"
import type { World } from "../World.ts"
import { Follower } from "./Follower.ts"
import { fetch, KafkaPeer } from "./KafkaPeer.ts"

/** Follows a stream as a consumer without a group does. */
export const reader = (world: World, plan: ReaderPlan): Follower => {
  const { name, stream, version, bytesMax, usesSession = false, readsZstd = false } = plan
  const peer = new KafkaPeer(world, name, readsZstd ? zstdSoftware : undefined)
  return new Follower(world, peer, {
    stream,
    isolationLevel: 0,
    fetch: (positions, waitMs, onAnswer) => {
      const asked = positions.map((offset, partition) => ({ stream, partition, offset }))
      fetch(world, peer, { version, waitMs, bytesMax, usesSession }, asked, (fetched) =>
        onAnswer(
          fetched?.map(({ asked: { partition }, errorCode, nextOffset }) => ({ partition, errorCode, nextOffset }))
        )
      )
    }
  })
}
