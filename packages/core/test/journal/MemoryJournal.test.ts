import { systemClock } from "@logbrook/core/Clock"
import { FaultyJournal } from "@logbrook/core/journal/FaultyJournal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import type { Journal } from "@logbrook/core/journal/Journal"
import { journalSuite } from "./journalSuite.ts"

/** In memory nothing is kept: "again" is the same journal while it is empty or keeps its segment size. */
const inMemory = (wrap: (journal: Journal) => Journal) => () => {
  const bySize = new Map<number, Journal>()
  return {
    open: (segmentBytes: number): Journal => {
      const known = bySize.get(segmentBytes) ?? wrap(new MemoryJournal(systemClock, segmentBytes))
      bySize.set(segmentBytes, known)
      return known
    },
    cleanUp: () => undefined
  }
}

journalSuite(
  "MemoryJournal",
  inMemory((journal) => journal),
  { keepsAfterClose: false }
)
journalSuite(
  "FaultyJournal without faults, over memory",
  inMemory((journal) => new FaultyJournal(journal, systemClock, () => undefined)),
  { keepsAfterClose: false }
)
