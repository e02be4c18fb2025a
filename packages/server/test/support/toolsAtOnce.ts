import * as checks from "../../src/tools/checkJournal.ts"
import * as tools from "../../src/tools/journalTools.ts"
import type * as Effect from "effect/Effect"
import { now } from "./now.ts"

/** The journal's tools as plain functions, which throw what they fail with. */
const atOnce =
  <Args extends ReadonlyArray<unknown>, A, E>(answer: (...args: Args) => Effect.Effect<A, E>) =>
  (...args: Args): A =>
    now(answer(...args))

export const diffStates = atOnce(tools.diffStates)
export const endSeqAt = atOnce(tools.endSeqAt)
export const eventsFrom = atOnce(tools.eventsFrom)
export const eventsPage = atOnce(tools.eventsPage)
export const lastEvents = atOnce(tools.lastEvents)
export const replayAll = atOnce(checks.replayAll)
export const showEvent = atOnce(tools.showEvent)
export const stateAt = atOnce(tools.stateAt)
export const verifyJournal = atOnce(checks.verifyJournal)
