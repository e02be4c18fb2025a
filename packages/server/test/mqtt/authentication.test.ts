import { once } from "node:events"
import * as Effect from "effect/Effect"
import mqtt from "mqtt"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { rules } from "@logbrook/core/access/rules"
import type * as mqttPacket from "mqtt-packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { afterEach, describe, expect, it } from "vitest"
import { Authentication } from "../../src/mqtt/authentication/Authentication.ts"
import type {
  AuthenticatingClient,
  AuthenticationMethod,
  AuthenticationStep
} from "../../src/mqtt/authentication/AuthenticationMethod.ts"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import {
  connectPacket,
  type Kit,
  type KitOptions,
  packet,
  parsed,
  publishPacket,
  RawClient,
  startKit,
  subscribePacket
} from "./kit.ts"

// Enhanced authentication (MQTT 5, 4.12), by a method of two rounds that only tests have. The server ships with none.

const textOf = (bytes: Uint8Array | undefined): string => (bytes === undefined ? "" : Buffer.from(bytes).toString())

/** A client answers "one" with "1", then "two" with "2"; it is the one that its CONNECT's data names, or else its user name. */
const stepsOf = ({ username }: AuthenticatingClient) => {
  let round = 0
  let name = username ?? "somebody"
  return (data: Uint8Array | undefined): AuthenticationStep => {
    const text = textOf(data)
    round++
    if (round === 1) {
      if (text !== "") name = text
      return { _tag: "Continue", data: Buffer.from("one") }
    }
    if (text !== String(round - 1)) return { _tag: "Refused", code: ReasonCode.NotAuthorized, reason: "a wrong answer" }
    if (round === 2) return { _tag: "Continue", data: Buffer.from("two") }
    return { _tag: "Accepted", principal: { type: "User", name }, data: Buffer.from("proof") }
  }
}

const atOnce: AuthenticationMethod = {
  name: "two-rounds",
  begin: (client) => {
    const step = stepsOf(client)
    return { step: (data) => Effect.sync(() => step(data)) }
  }
}

/** The same, a turn of the event loop later. */
const later: AuthenticationMethod = {
  name: "two-rounds",
  begin: (client) => {
    const step = stepsOf(client)
    return {
      step: (data) =>
        Effect.zipRight(
          Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
          Effect.sync(() => step(data))
        )
    }
  }
}

/** One that never comes to an end; it counts its steps, and those that were interrupted. */
const makeStuck = () => {
  const stuck = { begun: 0, interrupted: 0, method: undefined as unknown as AuthenticationMethod }
  const step = Effect.suspend(() => {
    stuck.begun++
    return Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stuck.interrupted++))
  })
  stuck.method = { name: "two-rounds", begin: () => ({ step: () => step }) }
  return stuck
}

let kit: Kit
/** The principals that were asked for, by the topics that they wanted to write. */
let writers: Array<string>

const start = async (method: AuthenticationMethod | undefined, options: KitOptions = {}): Promise<void> => {
  writers = []
  const authorizer = new Authorizer([
    ...rules,
    (principal, operation, resource) => {
      if (operation === "Write" && resource.type === "TopicName") writers.push(`${principal.name} ${resource.name}`)
      return undefined
    }
  ])
  kit = await startKit({ authorizer, ...(method && { authenticationMethods: [method] }), ...options })
}

afterEach(() => kit.stop())

const method = [21, 0, 10, ...Buffer.from("two-rounds")]
const dataOf = (text: string): ReadonlyArray<number> => [22, 0, text.length, ...Buffer.from(text)]

const auth = (code: number, data?: string, properties: ReadonlyArray<number> = method): Buffer => {
  const all = [...properties, ...(data === undefined ? [] : dataOf(data))]
  return packet(0xf0, [code, all.length, ...all])
}

const connect = (more: ReadonlyArray<number> = [], clientId = "c"): Buffer =>
  connectPacket({ clientId, properties: [...method, ...more] })

/** A packet of the server as a line. */
const told = (bytes: Uint8Array): string => {
  const { cmd, reasonCode, properties } = parsed<mqttPacket.IAuthPacket>(bytes)
  const { authenticationMethod = "-", authenticationData, reasonString = "" } = properties ?? {}
  return `${cmd} ${reasonCode} ${authenticationMethod} ${textOf(authenticationData)}${reasonString}`
}

const accepted = ["auth 24 two-rounds one", "auth 24 two-rounds two", "connack 0 two-rounds proof"]

const authenticated = async (clientId?: string, more: ReadonlyArray<number> = []): Promise<RawClient> => {
  const client = new RawClient(kit.port)
  client.send(connect(more, clientId), auth(0x18, "1"), auth(0x18, "2"))
  for (const each of accepted) expect(told(await client.packet())).toBe(each)
  return client
}

const refusalOf = async (client: RawClient): Promise<string> => told(await client.rest())

describe("CONNECT with an authentication method", () => {
  it.each([
    ["at once", atOnce],
    ["later", later]
  ])(
    "takes two rounds, packet by packet, in one piece and byte by byte, of a method that answers %s",
    async (_, by) => {
      await start(by)
      const stepwise = new RawClient(kit.port)
      stepwise.send(connect(dataOf("alice")))
      expect(told(await stepwise.packet())).toBe(accepted[0])
      expect([kit.broker.gate.preAuth, kit.mqtt.directory.size]).toEqual([1, 0])
      stepwise.send(auth(0x18, "1"))
      expect(told(await stepwise.packet())).toBe(accepted[1])
      stepwise.send(auth(0x18, "2"))
      expect(told(await stepwise.packet())).toBe(accepted[2])
      expect([kit.broker.gate.preAuth, kit.mqtt.directory.size]).toEqual([0, 1])
      const publish = publishPacket("a", "x", { qos: 1 })
      stepwise.send(publish)
      expect((await stepwise.packet())[0]).toBe(0x40)
      expect(writers).toEqual(["alice a"])
      const whole = Buffer.concat([connect([], "whole"), auth(0x18, "1"), auth(0x18, "2"), publish])
      const atOnceClient = new RawClient(kit.port)
      atOnceClient.send(whole)
      const bytewise = new RawClient(kit.port)
      bytewise.socket.setNoDelay(true)
      for (const client of [atOnceClient, bytewise]) {
        if (client === bytewise) {
          for (const byte of whole) {
            client.send([byte])
            await new Promise((resolve) => setImmediate(resolve))
          }
        }
        for (const each of accepted) expect(told(await client.packet())).toBe(each)
        expect((await client.packet())[0]).toBe(0x40)
      }
      expect(writers.slice(1)).toEqual(["somebody a", "somebody a"])
    }
  )

  it("is refused with 0x8C by a server that has no such method, as this one ships", async () => {
    await start(undefined)
    const client = new RawClient(kit.port)
    client.send(connect())
    expect(await refusalOf(client)).toBe("connack 140 - the server has no such authentication method")
  })

  it.each([
    ["the first", [auth(0x18, "0")], 1],
    ["the second", [auth(0x18, "1"), auth(0x18, "1")], 2]
  ])("is refused for %s answer that is wrong, and touches no session", async (_, answers, rounds) => {
    await start(later)
    const before = await authenticated("c")
    await kit.seq()
    const events = kit.events.length
    const client = new RawClient(kit.port)
    client.send(connect([], "c"), ...answers)
    for (let round = 0; round < rounds; round++) expect(told(await client.packet())).toBe(accepted[round])
    expect(await refusalOf(client)).toBe("connack 135 - a wrong answer")
    await kit.seq()
    expect(kit.events.length).toBe(events)
    before.send(publishPacket("a", "x", { qos: 1 }))
    expect((await before.packet())[0]).toBe(0x40)
  })

  const strict: ReadonlyArray<readonly [name: string, bytes: Uint8Array, code: number]> = [
    ["PUBLISH", publishPacket("a", "x", { qos: 1 }), ReasonCode.ProtocolError],
    ["SUBSCRIBE", subscribePacket(1, [["a", 0]]), ReasonCode.ProtocolError],
    ["PINGREQ", packet(0xc0), ReasonCode.ProtocolError],
    ["a second CONNECT", connect(), ReasonCode.ProtocolError],
    ["AUTH that begins anew", auth(0x19), ReasonCode.ProtocolError],
    ["AUTH without a method", auth(0x18, undefined, []), ReasonCode.ProtocolError],
    ["AUTH with a reason that is none of a client's", auth(0x00), ReasonCode.ProtocolError],
    [
      "AUTH of another method",
      auth(0x18, "1", [21, 0, 5, ...Buffer.from("other")]),
      ReasonCode.BadAuthenticationMethod
    ],
    ["a packet that is malformed", packet(0xc1), ReasonCode.MalformedPacket],
    ["a packet above 64 KiB", Buffer.from([0x30, 0x81, 0x80, 0x04]), ReasonCode.PacketTooLarge]
  ]
  it.each(strict)("takes nothing but AUTH before it is through: %s", async (_name, bytes, code) => {
    for (const by of [atOnce, later]) {
      await start(by)
      await kit.seq()
      const events = kit.events.length
      const inOnePiece = new RawClient(kit.port)
      inOnePiece.send(connect(), bytes)
      expect(told(await inOnePiece.packet())).toBe(accepted[0])
      expect(await refusalOf(inOnePiece)).toContain(`connack ${code} - `)
      const apart = new RawClient(kit.port)
      apart.send(connect())
      expect(told(await apart.packet())).toBe(accepted[0])
      apart.send(bytes)
      expect(await refusalOf(apart)).toContain(`connack ${code} - `)
      await kit.seq()
      expect([kit.events.length, writers]).toEqual([events, []])
      await expect.poll(() => kit.broker.gate.open).toBe(0)
      if (by === atOnce) await kit.stop()
    }
  })

  it("ends without a word and without a will for a client that leaves before it is through", async () => {
    await start(later)
    const will = { flags: 6, rest: [0, 0, 1, 0x61, 0, 1, 0x78], properties: method }
    const saysSo = new RawClient(kit.port)
    saysSo.send(connectPacket(will))
    expect(told(await saysSo.packet())).toBe(accepted[0])
    saysSo.send(packet(0xe0))
    expect(await saysSo.rest()).toHaveLength(0)
    const goes = new RawClient(kit.port)
    goes.send(connectPacket(will))
    expect(told(await goes.packet())).toBe(accepted[0])
    goes.socket.end()
    expect(await goes.rest()).toHaveLength(0)
    await expect.poll(() => kit.broker.gate.open).toBe(0)
    expect(writers).toEqual([])
  })

  it("has its time: a client that does not answer, and a method that does not come to an end", async () => {
    await start(atOnce, { limits: { authenticationTimeoutMs: 50 } })
    const silent = new RawClient(kit.port)
    silent.send(connect())
    expect(told(await silent.packet())).toBe(accepted[0])
    expect(await refusalOf(silent)).toBe("connack 135 - authentication took too long")
    await kit.stop()
    const stuck = makeStuck()
    await start(stuck.method, { limits: { authenticationTimeoutMs: 50 } })
    const waiting = new RawClient(kit.port)
    // Whatever is read behind it waits in vain.
    waiting.send(connect(), publishPacket("a", "x"))
    expect(await refusalOf(waiting)).toBe("connack 135 - authentication took too long")
    expect([stuck.interrupted, writers]).toEqual([1, []])
  })

  it("interrupts the method when the server ends", async () => {
    const stuck = makeStuck()
    await start(stuck.method, { limits: { authenticationTimeoutMs: 3_600_000 } })
    const stopped = new RawClient(kit.port)
    stopped.send(connect())
    await expect.poll(() => stuck.begun).toBe(1)
    await kit.stop()
    expect(await stopped.rest()).toHaveLength(0)
    expect(stuck.interrupted).toBe(1)
    await start(undefined)
  })

  it("sends no AUTH that is above the client's Maximum Packet Size", async () => {
    await start(atOnce)
    const client = new RawClient(kit.port)
    client.send(connect([39, 0, 0, 0, 20]))
    expect(told(await client.rest())).toBe("connack 149 - ")
  })

  it("is what mqtt.js does", async () => {
    await start(later)
    const properties = { authenticationMethod: "two-rounds" }
    const client = mqtt.connect({
      port: kit.port,
      host: "127.0.0.1",
      protocolVersion: 5,
      properties,
      reconnectPeriod: 0
    })
    client.handleAuth = ({ properties: asked }, done) => {
      const answer = textOf(asked?.authenticationData) === "one" ? "1" : "2"
      const authenticationData = Buffer.from(answer)
      done(undefined, { cmd: "auth", reasonCode: 0x18, properties: { ...properties, authenticationData } } as never)
    }
    await new Promise<void>((resolve) => client.once("connect", () => resolve()))
    await client.publishAsync("a", "x", { qos: 1 })
    expect(writers).toEqual(["somebody a"])
    await client.endAsync()
  })
})

describe("authentication anew", () => {
  it("takes two rounds, and all else goes on meanwhile", async () => {
    await start(later)
    const client = await authenticated()
    for (let time = 0; time < 2; time++) {
      client.send(auth(0x19))
      expect(told(await client.packet())).toBe(accepted[0])
      client.send(publishPacket("a", "x", { qos: 1 }))
      expect((await client.packet())[0]).toBe(0x40)
      client.send(auth(0x18, "1"))
      expect(told(await client.packet())).toBe(accepted[1])
      client.send(auth(0x18, "2"))
      expect(told(await client.packet())).toBe("auth 0 two-rounds proof")
    }
  })

  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<Uint8Array>, rounds: number, code: number]> = [
    ["a wrong answer", [auth(0x19), auth(0x18, "0")], 1, ReasonCode.NotAuthorized],
    ["another principal", [auth(0x19, "mallory"), auth(0x18, "1"), auth(0x18, "2")], 2, ReasonCode.NotAuthorized],
    ["one that begins before the one before is through", [auth(0x19), auth(0x19)], 1, ReasonCode.ProtocolError],
    ["an answer to nothing", [auth(0x18, "1")], 0, ReasonCode.ProtocolError],
    ["another method", [auth(0x19, "", [21, 0, 1, 0x78])], 0, ReasonCode.ProtocolError]
  ]
  it.each(wrong)("ends the connection for %s", async (_name, packets, rounds, code) => {
    await start(atOnce)
    const client = await authenticated()
    client.send(...packets)
    for (let round = 0; round < rounds; round++) expect(told(await client.packet())).toBe(accepted[round])
    expect(await refusalOf(client)).toContain(`disconnect ${code} - `)
  })

  it("has its time", async () => {
    await start(atOnce, { limits: { authenticationTimeoutMs: 100 } })
    const client = await authenticated()
    // The time of the first exchange is over with it.
    await new Promise((resolve) => setTimeout(resolve, 200))
    client.send(auth(0x19))
    expect(told(await client.packet())).toBe(accepted[0])
    expect(await refusalOf(client)).toBe("disconnect 135 - authentication took too long")
  })

  it("is not for a client whose CONNECT names no method, and such a CONNACK names none [MQTT-4.12.0-6]", async () => {
    await start(atOnce)
    const client = new RawClient(kit.port)
    client.send(connectPacket())
    expect(told(await client.packet())).toBe("connack 0 - ")
    client.send(auth(0x19))
    expect(await refusalOf(client)).toContain(`disconnect ${ReasonCode.ProtocolError} - `)
  })

  it("goes by the principal of CONNECT in what it may do, and ends with the session's connection", async () => {
    await start(atOnce)
    const first = await authenticated("c", dataOf("alice"))
    const second = await authenticated("c", dataOf("bob"))
    expect(told(await first.rest())).toContain(`disconnect ${ReasonCode.SessionTakenOver} - `)
    second.send(publishPacket("a", "x", { qos: 1 }))
    await once(second.socket, "data")
    expect(writers).toEqual(["bob a"])
  })
})

describe("a step that leads to the next one at once", () => {
  it("leaves that one to be interrupted at the end", async () => {
    await start(undefined)
    const steps: Array<string> = []
    const stuck = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void steps.push("interrupted")))
    const step = (data: Uint8Array | undefined) =>
      data === undefined
        ? Effect.succeed({ _tag: "Continue", data: undefined } as const)
        : Effect.zipRight(
            Effect.sync(() => void steps.push(textOf(data))),
            stuck
          )
    const connection = {
      packetSizeMax: Infinity,
      send: () => undefined,
      guarded: (run: () => void) => run(),
      // The client's answer has come already.
      challenged: () => {
        const properties = { authenticationMethod: "m", authenticationData: Buffer.from("answer") }
        authentication.received({ _tag: "Auth", reasonCode: ReasonCode.ContinueAuthentication, properties })
      },
      notAuthenticated: () => expect.unreachable()
    }
    const client = { clientId: "c", username: undefined, password: undefined, address: "a" }
    const parts = { clock: new TestClock(), log: kit.broker.log, timeoutMs: 1000 }
    const authentication = new Authentication(connection, parts, { name: "m", begin: () => ({ step }) }, client)
    authentication.begin(undefined, () => expect.unreachable())
    expect([steps, authentication.isLooking]).toEqual([["answer"], true])
    authentication.stop()
    await expect.poll(() => steps).toEqual(["answer", "interrupted"])
  })
})

describe("a method that fails", () => {
  it("refuses the client, which is told nothing of it; the log is", async () => {
    await start(undefined)
    const errors: Array<unknown> = []
    const log = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (text: string) => void errors.push(text)
    }
    const codes: Array<number> = []
    const connection = {
      packetSizeMax: Infinity,
      send: () => undefined,
      guarded: (run: () => void) => run(),
      challenged: () => undefined,
      notAuthenticated: ({ reasonCode, message }: { reasonCode: number; message: string }) => {
        codes.push(reasonCode)
        expect(message).toBe("authentication is not possible")
      }
    }
    const client = { clientId: "c", username: undefined, password: undefined, address: "a" }
    for (const step of [
      () => Effect.die("secret"),
      () => {
        throw new Error("secret")
      }
    ]) {
      const parts = { clock: new TestClock(), log, timeoutMs: 1000 }
      const failing = new Authentication(connection, parts, { name: "m", begin: () => ({ step }) }, client)
      failing.begin(undefined, () => expect.unreachable())
    }
    expect([codes, errors]).toEqual([[0x80, 0x80], Array(2).fill("mqtt: a method of authentication fails")])
  })
})
