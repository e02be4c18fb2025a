import type { Journal } from "@logbrook/core/journal/Journal"
import type { Broker } from "../../src/Broker.ts"
import { definitions } from "../../src/Broker.ts"
import { type EventFilter, type EventView, pastOf } from "../../src/tools/journalTools.ts"
import { lastEvents } from "./toolsAtOnce.ts"

/** What a server's journal says now, the newest event last: of all that the filter selects so many at most. */
export const newestEvents = (
  { journal, broker }: { readonly journal: Journal; readonly broker: Pick<Broker, "limits"> },
  filter: EventFilter,
  count = 100
): ReadonlyArray<EventView> => lastEvents(pastOf(journal, definitions(broker.limits)), count, filter).events
