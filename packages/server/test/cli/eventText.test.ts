import { describe, expect, it } from "vitest"
import { parseCommandLine } from "../../src/cli/commandLine.ts"
import { commands } from "../../src/cli/commands.ts"
import { eventLine, summaryText } from "../../src/cli/eventText.ts"
import { parsePoint } from "../../src/tools/point.ts"
import { testIo } from "./support.ts"

const tail = commands.find(({ name }) => name === "journal tail")!
const args = parseCommandLine(tail, [])

const memberId = "app1-5f0c2b1e-8a34-4b51-9d1c-0123456789ab"
const joined = {
  seq: 7,
  time: "2026-11-22T14:14:49.737Z",
  epoch: 1,
  actor: "group/dashboard",
  type: "MemberJoined",
  version: 1,
  cause: { origin: `kafka ${memberId} JoinGroup#4` },
  event: {
    _tag: "MemberJoined",
    groupInstanceId: null,
    protocolType: "consumer",
    memberId,
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 3_725_000,
    joinedAtMs: 1_795_356_889_737
  }
}

describe("a line of journal tail", () => {
  it("begins with what matters on a terminal, its ids cut, its times readable", () => {
    expect(eventLine(args, testIo(true), joined)).toBe(
      "       7 2026-11-22 14:14:49.737 MemberJoined       group/dashboard      memberId=app1-5f0c2b1e… protocolType=consumer " +
        "sessionTimeout=45s rebalanceTimeout=1h 2m joinedAt=2026-11-22T14:14:49.73… ← kafka app1-5f0c2b1e… JoinGroup#4"
    )
  })

  it("has tabs and whole ids elsewhere", () => {
    const [seq, time, actor, type, summary, cause] = eventLine(args, testIo(false), joined).split("\t")
    expect([seq, time, actor, type]).toEqual(["7", joined.time, "group/dashboard", "MemberJoined"])
    expect(summary!.startsWith(`memberId=${memberId} protocolType=consumer sessionTimeout=45s`)).toBe(true)
    expect(cause).toBe(`← ${joined.cause.origin}`)
  })

  it.each([
    [{ by: "protocol", reasonCode: 0x90, reason: "a wildcard" }, "end=protocol 0x90 a wildcard"],
    [{ by: "client", reasonCode: 4 }, "end=client 0x04"],
    [{ by: "socket", error: "ECONNRESET" }, "end=socket ECONNRESET"],
    [{ by: "keep alive", keepAliveMs: 60_000 }, "end=keep alive 1m"]
  ])("says who ended a connection before all else: %j", (end, wanted) => {
    const event = { _tag: "SessionDisconnected", connectionId: "1.1", end, cause: "Closed" }
    expect(summaryText(event)).toBe(`${wanted} cause=Closed connectionId=1.1`)
  })

  it("says what was refused of a client, how often, and an example", () => {
    const share = { code: "0x87", reason: "nobody publishes there", count: 20, topic: "$share/x\u001b" }
    const large = { code: "0x97", reason: "too large", count: 1, topic: null }
    const event = { _tag: "PublicationsRefused", protocol: "mqtt", address: "10.0.0.1", refused: [share, large] }
    expect(summaryText(event)).toBe(
      "20 × 0x87 (nobody publishes there), such as $share/x\\x1b; 1 × 0x97 (too large) protocol=mqtt address=10.0.0.1"
    )
  })

  it("has times that can be given back", () => {
    for (const words of [[], ["--local"]]) {
      const line = eventLine(parseCommandLine(tail, words), testIo(true), joined)
      const [, day, clock] = line.trim().split(/ +/)
      expect(parsePoint(`${day} ${clock}`, 0)).toMatchObject({ timeMs: Date.parse(joined.time) })
    }
  })
})

describe("a time before now", () => {
  const diff = commands.find(({ name }) => name === "journal diff")!

  it("is a positional and no option", () => {
    const { positionals, flag } = parseCommandLine(diff, ["group/x", "-1h30m", "-5m", "--json"])
    expect(positionals).toEqual(["group/x", "-1h30m", "-5m"])
    expect(flag("json")).toBe(true)
    const state = commands.find(({ name }) => name === "journal state")!
    expect(parseCommandLine(state, ["group/x", "--at", "-5m"]).text("at")).toBe("-5m")
    expect(parseCommandLine(state, ["group/x", "--at=-5m"]).text("at")).toBe("-5m")
  })
})
