import { describe, expect, it } from "vitest"
import type { ReadStream, SessionSettings, StreamReading, Subscribe } from "../../src/session/SessionProtocol.ts"
import { connectOf, messageOf, SessionHarness, subscriptionOf } from "./SessionHarness.ts"

const filter = "$stream/orders"

const readingOf = (positions: ReadonlyArray<number>, changes: Partial<StreamReading> = {}): StreamReading => ({
  topicId: "orders-1",
  positions,
  ends: null,
  untilMs: null,
  isFullTopic: false,
  ...changes
})

const subscribeOf = (stream: StreamReading, changes: Partial<Subscribe> = {}): Subscribe => ({
  _tag: "Subscribe",
  connectionId: "1",
  subscriptions: [subscriptionOf(filter, { stream })],
  ...changes
})

const readOf = (
  offsets: ReadonlyArray<number>,
  positions: ReadStream["positions"],
  changes: Partial<ReadStream> = {}
): ReadStream => ({
  _tag: "ReadStream",
  connectionId: "1",
  filter,
  topicId: "orders-1",
  messages: offsets.map((offset) => messageOf(offset, { stream: {} })),
  positions,
  ...changes
})

const reading = (session: SessionHarness): StreamReading | undefined => session.state.subscriptions.get(filter)?.stream

const subscribed = (settings: Partial<SessionSettings> = {}, positions = [4, 0]): SessionHarness => {
  const session = new SessionHarness(settings)
  session.send(connectOf("1"))
  session.send(subscribeOf(readingOf(positions)))
  return session
}

const streamOf = (outcome: ReturnType<SessionHarness["send"]>): StreamReading | undefined =>
  outcome.reply?._tag === "SubscriptionsMade" ? outcome.reply.results[0]!.stream : undefined

describe("a subscription of a stream", () => {
  it("begins where it was asked for", () => {
    const session = new SessionHarness()
    session.send(connectOf("1"))
    const outcome = session.send(subscribeOf(readingOf([4, 0])))
    expect(outcome.tags).toEqual(["Subscribed"])
    expect(streamOf(outcome)).toEqual(readingOf([4, 0]))
  })

  it("goes on where it has read to when it is made again, whatever start that names", () => {
    const session = subscribed()
    session.send(readOf([], [[0, 9]]))
    const same = session.send(subscribeOf(readingOf([0, 0])))
    expect([same.tags, streamOf(same)]).toEqual([[], readingOf([9, 0])])
    const other = session.send(subscribeOf(readingOf([0, 0], { isFullTopic: true, ends: [1, 1] })))
    expect([other.tags, streamOf(other)]).toEqual([["Subscribed"], readingOf([9, 0], { isFullTopic: true })])
  })

  it("begins anew if it is told to, or if the stream is another one", () => {
    const session = subscribed()
    session.send(readOf([], [[0, 9]]))
    expect(streamOf(session.send(subscribeOf(readingOf([0, 0]), { resets: [filter] })))).toEqual(readingOf([0, 0]))
    const other = readingOf([2], { topicId: "orders-2" })
    expect(streamOf(session.send(subscribeOf(other)))).toEqual(other)
  })

  it("that waited for its stream wants all of it, also when it is made again", () => {
    const session = new SessionHarness()
    session.send(connectOf("1"))
    session.send(subscribeOf(readingOf([], { topicId: null })))
    expect(streamOf(session.send(subscribeOf(readingOf([7, 7]))))).toEqual(readingOf([]))
  })

  it("is known with its position after a restart, and to the next connection", () => {
    const session = subscribed()
    session.send(readOf([4, 5], [[0, 6]]))
    session.restart()
    session.send(connectOf("2"))
    expect(reading(session)).toEqual(readingOf([6, 0]))
    session.reload()
    expect(reading(session)).toEqual(readingOf([6, 0]))
  })
})

describe("what was read of a stream", () => {
  it("is in the queue, and the position behind it, in one commit", () => {
    const session = subscribed()
    const outcome = session.send(readOf([4, 5], [[0, 6]]))
    expect(outcome.tags).toEqual(["MessagesQueued", "StreamPositionMoved"])
    expect(outcome.reply).toEqual({ _tag: "StreamRead", isTaken: true })
    expect(outcome.notices).toMatchObject([{ _tag: "Deliver", entries: [{ offset: 4, stream: {} }, { offset: 5 }] }])
    expect(reading(session)!.positions).toEqual([6, 0])
  })

  it("moves the position alone where it was written as QoS 0", () => {
    const session = subscribed()
    const outcome = session.send(readOf([], [[1, 3]]))
    expect([outcome.tags, outcome.notices]).toEqual([["StreamPositionMoved"], []])
    expect(reading(session)!.positions).toEqual([4, 3])
  })

  it("reads partitions that came later from their beginning", () => {
    const session = subscribed()
    session.send(readOf([], [[3, 5]]))
    expect(reading(session)!.positions).toEqual([4, 0, 0, 5])
  })

  it("of another stream of the name forgets the positions of the one before", () => {
    const session = subscribed()
    session.send(readOf([], [[0, 1]], { topicId: "orders-2" }))
    expect(reading(session)).toEqual(readingOf([1], { topicId: "orders-2" }))
  })

  it.each([
    ["messages", { offlineQueueMessagesMax: 3 }],
    ["bytes", { offlineQueueBytesMax: 35 }]
  ])("waits in the stream while the queue has no room: %s", (_limit, settings) => {
    const session = subscribed(settings)
    session.send(readOf([4, 5], [[0, 6]]))
    const outcome = session.send(readOf([6, 7], [[0, 8]]))
    expect([outcome.tags, outcome.notices, outcome.reply]).toEqual([[], [], { _tag: "StreamRead", isTaken: false }])
    expect(reading(session)!.positions).toEqual([6, 0])
  })

  it("is taken into an empty queue whatever its size is", () => {
    const session = subscribed({ offlineQueueBytesMax: 5 })
    expect(session.send(readOf([4], [[0, 5]])).reply).toEqual({ _tag: "StreamRead", isTaken: true })
    expect(session.send(readOf([5], [[0, 6]])).reply).toEqual({ _tag: "StreamRead", isTaken: false })
  })

  it("moves positions alone however full the queue is", () => {
    const session = subscribed({ offlineQueueBytesMax: 5 })
    session.send(readOf([4], [[0, 5]]))
    expect(session.send(readOf([], [[1, 3]])).reply).toEqual({ _tag: "StreamRead", isTaken: true })
    expect(reading(session)!.positions).toEqual([5, 3])
  })

  it("is not for a subscription that has ended, nor for a connection that has been taken over", () => {
    const session = subscribed()
    session.send({ _tag: "Unsubscribe", connectionId: "1", filters: [filter] })
    expect(session.send(readOf([4], [[0, 5]])).reply).toEqual({ _tag: "StreamRead", isTaken: false })
    session.send(connectOf("2"))
    expect(session.send(readOf([4], [[0, 5]]))).toMatchObject({ tags: [], refused: "SessionTakenOver" })
  })
})
