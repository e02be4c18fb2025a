import type { Journal } from "@logbrook/core/journal/Journal"
import { definitions, type Broker } from "../Broker.ts"
import type { Past } from "../tools/journalTools.ts"
import { streamNames, type StreamNames } from "../tools/StreamNames.ts"

/** The journal under a live server, with the names of its directory. */
export const livePast = (broker: Broker, journal: Journal): Past => {
  let version = -1
  let names: StreamNames
  return {
    journal,
    definitions: definitions(broker.limits),
    actors: () => broker.shards.all.flatMap(({ actors }) => actors.ids()),
    names: () => {
      if (version === broker.directory.version) return names
      version = broker.directory.version
      return (names = streamNames({ streams: broker.directory.all() }))
    }
  }
}
