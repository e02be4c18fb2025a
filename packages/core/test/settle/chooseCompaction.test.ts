import { describe, expect, it } from "vitest"
import {
  chooseCompaction,
  type CompactionCandidate,
  type CompactionSettings
} from "@logbrook/core/settle/chooseCompaction"

const nowMs = 1_000_000
const defaults: CompactionSettings = {
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Infinity,
  deleteRetentionMs: 0
}

/** A log with runs in these segments. */
const log = (
  logId: number,
  dirtyBytes: number,
  cleanBytes: number,
  segments: ReadonlyArray<number>,
  rest: {
    readonly settings?: Partial<CompactionSettings>
    readonly dirtySinceMs?: number
    readonly laterBytes?: number
  } = {}
): CompactionCandidate => ({
  logId,
  settings: { ...defaults, ...rest.settings },
  compactable: {
    dirtyFrom: dirtyBytes > 0 ? 10 : undefined,
    cleanTo: 100,
    cleanBytes,
    dirtyBytes,
    laterBytes: rest.laterBytes ?? 0,
    dirtySinceMs: rest.dirtySinceMs ?? nowMs,
    segments
  }
})

const segmentBytes = new Map([
  [1, 1000],
  [2, 1000],
  [3, 1000]
])

describe("chooseCompaction", () => {
  it.each<[string, ReadonlyArray<CompactionCandidate>, ReadonlyArray<number>]>([
    ["nothing without logs", [], []],
    ["nothing that is clean", [log(5, 0, 900, [1])], []],
    ["what is dirtier than its ratio", [log(5, 501, 500, [1])], [5]],
    ["not what is as dirty as its ratio", [log(5, 500, 500, [1])], []],
    ["by what comes later too", [log(5, 300, 500, [1], { laterBytes: 201 })], [5]],
    ["by a ratio of 0 whatever is dirty", [log(5, 200, 5000, [1], { settings: { minCleanableDirtyRatio: 0 } })], [5]],
    ["by a ratio of 1 nothing", [log(5, 500, 0, [1], { settings: { minCleanableDirtyRatio: 1 } })], []],
    ["those with most dirty bytes first", [log(5, 300, 0, [1]), log(6, 400, 0, [1])], [6, 5]],
    ["not what is not worth its segments", [log(5, 100, 0, [1])], []],
    ["logs that are worth their segment together", [log(5, 63, 0, [1]), log(6, 62, 0, [1])], [5, 6]],
    ["as many as are worth it", [log(5, 300, 0, [1]), log(6, 20, 0, [1, 2, 3])], [5]],
    [
      "what is overdue, whatever it costs",
      [log(5, 1, 900, [1, 2, 3], { settings: { maxCompactionLagMs: 99 }, dirtySinceMs: nowMs - 100 })],
      [5]
    ],
    [
      "not what is as old as its lag",
      [log(5, 1, 900, [1], { settings: { maxCompactionLagMs: 100 }, dirtySinceMs: nowMs - 100 })],
      []
    ]
  ])("chooses %s", (_what, candidates, wanted) => {
    expect(chooseCompaction(candidates, nowMs, segmentBytes).map(({ logId }) => logId)).toEqual(wanted)
  })
})
