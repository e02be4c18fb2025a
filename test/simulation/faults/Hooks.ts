import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import type { Clock } from "@logbrook/core/Clock"
import type { Journal } from "@logbrook/core/journal/Journal"

/** Where a planted fault takes hold. The product itself has no switch for any of them. */
export interface Hooks {
  /** The server's actors; the model folds the right ones. */
  readonly definitions?: (own: ReadonlyArray<AnyDefinition>) => ReadonlyArray<AnyDefinition>
  readonly journal?: (own: Journal) => Journal
  readonly clock?: (own: Clock) => Clock
  /** Replaces methods of the product's classes; returns what puts them back. */
  readonly install?: () => () => void
}

export interface PlantedFault {
  readonly name: string
  /** New for each run. */
  readonly plant: () => Hooks
}

/** Its decisions hand over no state: other events, or another fold, then lead to another one. */
const foldedLive = (definition: AnyDefinition): AnyDefinition => ({
  ...definition,
  decide: (...given) => ({ ...definition.decide(...given), next: undefined })
})

/** A fault in what one kind of actor hands over as the state that its events lead to. */
export const inNext = (
  name: string,
  kind: string,
  wrong: (own: AnyDefinition, before: unknown, decision: ReturnType<AnyDefinition["decide"]>) => unknown
): PlantedFault => ({
  name,
  plant: () => ({
    definitions: (own) =>
      own.map((definition) => {
        if (definition.kind !== kind) return definition
        const decide: AnyDefinition["decide"] = (state, ...rest) => {
          const decision = definition.decide(state, ...rest)
          return decision.next === undefined ? decision : { ...decision, next: wrong(definition, state, decision) }
        }
        return { ...definition, decide }
      })
  })
})

/** A fault in one kind of actor. */
export const inActor = (
  name: string,
  kind: string,
  patch: (own: AnyDefinition) => Partial<AnyDefinition>
): PlantedFault => ({
  name,
  plant: () => ({
    definitions: (own) =>
      own.map((definition) =>
        definition.kind === kind ? { ...foldedLive(definition), ...patch(foldedLive(definition)) } : definition
      )
  })
})

export interface Tagged {
  readonly _tag: string
  readonly [field: string]: unknown
}

/** Another command to an actor than the one that came. */
export const asking = (own: AnyDefinition, patch: (command: Tagged) => Tagged): Partial<AnyDefinition> => ({
  decide: (state, command, nowMs, room) => own.decide(state, patch(command as unknown as Tagged) as never, nowMs, room)
})

/** A fault between the shard and its journal. */
export const inJournal = (name: string, patch: (own: Journal) => Partial<Journal>): PlantedFault => ({
  name,
  plant: () => ({ journal: (own) => Object.assign(forwarding(own), patch(own)) })
})

const forwarding = (own: Journal): Journal => ({
  get firstSeq() {
    return own.firstSeq
  },
  get nextSeq() {
    return own.nextSeq
  },
  get writtenSegmentSeq() {
    return own.writtenSegmentSeq
  },
  append: (commit, done) => own.append(commit, done),
  scan: (fromSeq, visit) => own.scan(fromSeq, visit),
  frame: (firstSeq) => own.frame(firstSeq),
  chunk: (firstSeq, index) => own.chunk(firstSeq, index),
  batch: (firstSeq, logId, lastOffset) => own.batch(firstSeq, logId, lastOffset),
  run: (segmentSeq, logId, lastOffset) => own.run(segmentSeq, logId, lastOffset),
  visitRuns: (segmentSeq, visit) => own.visitRuns(segmentSeq, visit),
  writePage: (fromSeq, index, page, done) => own.writePage(fromSeq, index, page, done),
  completeSnapshot: (fromSeq, pages, done) => own.completeSnapshot(fromSeq, pages, done),
  snapshot: (atSeq) => own.snapshot(atSeq),
  segments: () => own.segments(),
  dropOldest: () => own.dropOldest(),
  close: () => own.close()
})

type AnyMethod = (...args: ReadonlyArray<unknown>) => unknown

/** A fault in a method of a class of the product. `original` is to be called with the same `this`. */
export const inMethod = (
  name: string,
  prototype: object,
  method: string,
  patch: (
    original: (self: unknown, ...args: ReadonlyArray<unknown>) => unknown
  ) => (self: never, ...args: ReadonlyArray<never>) => unknown
): PlantedFault => ({
  name,
  plant: () => ({
    install: () => {
      const methods = prototype as Record<string, AnyMethod>
      const original = methods[method]
      if (original === undefined) throw new Error(`"${name}" has no method ${method} to be in`)
      const patched = patch((self, ...args) => Reflect.apply(original, self, args))
      methods[method] = function (this: unknown, ...args: ReadonlyArray<unknown>) {
        return patched(this as never, ...(args as ReadonlyArray<never>))
      }
      return () => {
        methods[method] = original
      }
    }
  })
})
