import {
  sessionActor,
  type ConnectionEnd,
  type ConnectionId,
  type QueueEntry,
  type SessionCommand
} from "@logbrook/actors/session/SessionProtocol"
import { anonymous, type Principal } from "@logbrook/core/access/Access"
import type { CommandList, ListAnswer } from "@logbrook/core/shard/CommandList"
import { decodeConnect } from "@logbrook/protocols/mqtt/decodeConnect"
import { decodePacket } from "@logbrook/protocols/mqtt/decode"
import { decodePublish } from "@logbrook/protocols/mqtt/decodePublish"
import { encodeConnackRefusal, encodeDisconnect } from "@logbrook/protocols/mqtt/encode"
import { encodePingresp } from "@logbrook/protocols/mqtt/encodePublish"
import type { Disconnect, ProtocolVersion, SessionPacket } from "@logbrook/protocols/mqtt/Packet"
import { MqttError, PacketType } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import type { Authentication } from "./authentication/Authentication.ts"
import { codeText, disconnectOf, endByClient, endFields, endText, expiryAfter } from "./connectionEnd.ts"
import type { Reply } from "./Client.ts"
import { connackOf, faultOfFirst, openSession, type OpeningConnection } from "./handshake.ts"
import { HeldPackets } from "./HeldPackets.ts"
import { Incoming } from "./Incoming.ts"
import type { OutgoingMessage } from "./Message.ts"
import type { Mount } from "./MountPoint.ts"
import type { ConnectionInfo, MqttBroker, Session } from "./MqttBroker.ts"
import { Outgoing } from "./Outgoing.ts"
import { RetainedFeed } from "./RetainedFeed.ts"
import { readDelivery } from "./streams/streamDelivery.ts"
import { StreamFeed } from "./streams/StreamFeed.ts"
import { subscribe, unsubscribe } from "./subscribe.ts"
import type { Transport, TransportEvents } from "./Transport.ts"
import type { Fields } from "../Log.ts"
import { originOf, placeOf, userOf } from "../originOf.ts"
import type { Admission } from "../net/ConnectionGate.ts"
import { lingerMs } from "../net/endSoftly.ts"

/**
 * | Phase | What it does | Goes on to |
 * |---|---|---|
 * | `connecting` | waits for CONNECT | `authenticating`, `opening`, `closed` |
 * | `authenticating` | CONNECT has named an authentication method: takes AUTH and DISCONNECT only | `opening`, `closed` |
 * | `opening` | its session is on its way to the journal; holds what was read behind CONNECT | `open`, `closed` |
 * | `open` | takes packets | `ending`, `closed` |
 * | `ending` | takes nothing more; what was taken before is answered | `closed` |
 * | `closed` | half-closed behind what was written, reads on and drops it for up to a second | |
 */
type Phase = "connecting" | "authenticating" | "opening" | "open" | "ending" | "closed"

/** The longest that an end waits for the answers to what was taken before it: a disk may stall for seconds. */
const answersMsMax = 5000
/** The bytes of a packet that may have come in part before memory is asked for. */
const partBytesMin = 1024
/** A client with less unread is never slow: the socket has just been written to. */
const slowBytesMin = 128 * 1024
const flushBytesMin = 256 * 1024
const pingresp = encodePingresp()

/**
 * A client's connection: bytes in, packets by phase, bytes out. Small: what only some connections need is made on
 * first use. Each part of it says beside its own code what it needs of a connection.
 */
export class MqttConnection implements TransportEvents, OpeningConnection {
  readonly mqtt: MqttBroker
  readonly mount: Mount
  readonly id: ConnectionId
  readonly #transport: Transport
  readonly #splitter: Splitter
  readonly #onPacket = (packet: Uint8Array): void => {
    this.mqtt.metrics.receivedPackets.add(1)
    this.#packet(packet)
  }
  #phase: Phase = "connecting"
  version: ProtocolVersion = 5
  principal: Principal = anonymous
  clientId = ""
  session: Session | undefined
  packetSizeMax = Infinity
  wantsReceipts = false
  wantsProblems = true
  sessionExpiryMs = 0
  keepAliveMs = 0
  inflightMax = 0
  topicAliasesMax = 0
  unreleased: ReadonlyArray<number> = []
  #incoming: Incoming | undefined
  #outgoing: Outgoing | undefined
  #feed: RetainedFeed | undefined
  #streams: StreamFeed | undefined
  #authentication: Authentication | undefined
  /** Those behind CONNECT or AUTH, or behind a packet that waits (`TurnShare`). */
  #held: HeldPackets | undefined
  #out: Array<Uint8Array> = []
  #outBytes = 0
  #isTouched = false
  #nowMs: number
  /** Unix ms. */
  readonly #openedMs: number
  /** This and the next three by the monotonic clock. */
  readonly #acceptedMs: number
  #lastReadMs: number
  #packetSinceMs = 0
  #slowSinceMs = 0
  #readsAfterDrain = false
  #readsAfterRoom = false
  #readsAfterAnswers = false
  #readsAfterHeld = false
  /** Commands that the session's actor has not answered. */
  #asks = 0
  /** Ends the connection behind the packets that are held. */
  #heldEnd: (() => void) | undefined
  /** Finishes the phase `ending`. */
  #finish: (() => void) | undefined
  #disarm: (() => void) | undefined
  #hasLeft = false
  #socketError: string | undefined
  readonly admission: Admission
  /** On the account: of a packet that has come in part, and what the client has not read. */
  #partBytes = 0
  #unsentBytes = 0

  constructor(mqtt: MqttBroker, transport: Transport, admission: Admission, mount: Mount = mqtt.noMount) {
    this.mqtt = mqtt
    this.mount = mount
    this.id = mqtt.nextConnectionId()
    this.#transport = transport
    this.admission = admission
    this.#splitter = new Splitter(mqtt.broker.limits.preAuthFrameBytesMax)
    this.#nowMs = this.#openedMs = mqtt.broker.clock.nowMs()
    this.#acceptedMs = this.#lastReadMs = mqtt.broker.clock.monotonicMs()
    mqtt.opened(this)
  }

  get info(): ConnectionInfo {
    return {
      id: this.id,
      clientId: this.clientId,
      remoteAddress: this.#transport.remoteAddress,
      protocolVersion: this.version,
      keepAliveMs: this.keepAliveMs,
      openedMs: this.#openedMs
    }
  }

  get address(): string {
    return this.#transport.remoteAddress
  }

  get isOpening(): boolean {
    return this.#phase === "opening"
  }

  /** Messages and answers may go to it. */
  get isOpen(): boolean {
    return this.#phase === "open" || this.#phase === "ending"
  }

  get #isClosed(): boolean {
    return this.#phase === "closed"
  }

  /** Written and not yet taken by the client's side. */
  get unsentBytes(): number {
    return this.#outBytes + this.#transport.unsentBytes
  }

  /** The client takes less than is sent: QoS 0 is dropped, the rest waits. */
  get isSlow(): boolean {
    const bytes = this.unsentBytes
    if (bytes < slowBytesMin) return false
    return bytes >= this.mqtt.broker.limits.slowConsumerUnsentBytesMax || !this.admission.hasRoom("transit", 1)
  }

  get incoming(): Incoming {
    return (this.#incoming ??= new Incoming(this, this.unreleased))
  }

  get outgoing(): Outgoing {
    return (this.#outgoing ??= new Outgoing(this, this.inflightMax))
  }

  get feed(): RetainedFeed {
    return (this.#feed ??= new RetainedFeed(this))
  }

  get streams(): StreamFeed {
    return (this.#streams ??= new StreamFeed(this))
  }

  queued(entry: QueueEntry): OutgoingMessage | undefined {
    if (entry.stream === undefined) return this.mqtt.sessionLog.read(entry.logId, entry.offset)
    return this.#streams?.take(entry) ?? readDelivery(this.mqtt.broker, entry, this.version === 5)
  }

  origin(packet: string): string {
    return originOf("mqtt", this.clientId, `${placeOf(this.principal, this.address)} ${packet}`)
  }

  // --- In ---

  /** The socket is read; if not, whatever the client sends stays in it. */
  get #isReading(): boolean {
    return this.#phase === "open" && !this.#waits
  }

  get #waits(): boolean {
    return this.#readsAfterDrain || this.#readsAfterRoom || this.#readsAfterAnswers || this.#readsAfterHeld
  }

  onChunk(chunk: Uint8Array): void {
    if (this.#phase === "closed" || this.#phase === "ending" || this.#heldEnd !== undefined) return
    const { broker, metrics } = this.mqtt
    this.#nowMs = broker.clock.nowMs()
    this.#lastReadMs = broker.clock.monotonicMs()
    metrics.receivedBytes.add(chunk.length)
    const before = this.#splitter.pendingBytes
    const fault = this.#phase === "connecting" && before === 0 ? faultOfFirst(chunk) : undefined
    if (fault !== undefined) return this.violated(fault)
    try {
      this.#splitter.push(chunk, this.#onPacket)
    } catch (error) {
      this.#thrown(error)
      return
    }
    if (this.#isClosed) {
      // A packet in it was the last one: what stands behind it is nobody's.
      this.#splitter.drop()
      return
    }
    const after = this.#splitter.pendingBytes
    // A packet that has grown by exactly this chunk is the one that was there before.
    if (after === 0) this.#packetSinceMs = 0
    else if (this.#packetSinceMs === 0 || after !== before + chunk.length) this.#packetSinceMs = this.#lastReadMs
    if (after !== before) this.#keepPart(after)
    if (this.#phase === "open") this.#throttle()
  }

  /** The buffer of a packet that grows is up to twice as large as what has come of it. */
  #keepPart(pendingBytes: number): void {
    const growth = Math.min(2 * pendingBytes, this.#splitter.sizeMax) - this.#partBytes
    if (pendingBytes > partBytesMin && growth > 0 && !this.admission.hasRoom("transit", growth)) {
      this.violated(new MqttError(ReasonCode.QuotaExceeded, "there is no memory for a packet of this size now"))
      return
    }
    this.admission.add("transit", growth)
    this.#partBytes += growth
  }

  /** Reads no further while more waits for its commit than should. */
  #throttle(): void {
    const { shards } = this.mqtt.broker
    if (this.#incoming?.isFull === true) {
      this.#readsAfterAnswers = true
      this.#transport.pause()
    }
    if (shards.hasRoom) return
    this.#readsAfterRoom = true
    this.#transport.pause()
    shards.whenRoom(() => {
      this.#readsAfterRoom = false
      if (this.#phase === "open") this.#readOn()
    })
  }

  hasAnswered(): void {
    if (!this.#readsAfterAnswers) return
    this.#readsAfterAnswers = false
    if (this.#phase === "open") this.#readOn()
  }

  /** Reads on. The client is not to blame for the time in which the server did not read. */
  #readOn(): void {
    if (this.#waits) return
    this.#lastReadMs = this.mqtt.broker.clock.monotonicMs()
    if (this.#packetSinceMs > 0) this.#packetSinceMs = this.#lastReadMs
    this.#transport.resume()
  }

  guarded(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#thrown(error)
    }
  }

  #thrown(error: unknown): void {
    if (error instanceof MqttError) this.violated(error)
    else if (this.#phase !== "closed") {
      this.mqtt.broker.log.error("mqtt: a defect closes the connection", { ...this.#who(), error: String(error) })
      this.#close({ by: "server", reason: "a defect of the server" })
    }
  }

  #packet(packet: Uint8Array): void {
    if (this.#held !== undefined) this.#hold(packet)
    else if (this.#phase === "open") this.#sessionPacket(packet)
    else if (this.#phase === "connecting") {
      const connect = decodeConnect(packet, this.mount.decoding.limits)
      this.#phase = "opening"
      this.version = connect.version
      // Packets that come before CONNACK are held until then: the rest of this chunk, no more.
      this.#transport.pause()
      openSession(this, connect)
    } else if (this.#holdsBack) this.#hold(packet)
    else if (this.#phase === "authenticating") this.#authenticationPacket(packet)
  }

  /** Something about the connection is being found out: the packets that have come have to wait. */
  get #holdsBack(): boolean {
    return this.#phase === "opening" || (this.#phase === "authenticating" && this.#authentication!.isLooking)
  }

  /** A packet that comes now has to wait behind those that are held. */
  get #holds(): boolean {
    return this.#holdsBack || this.#held !== undefined
  }

  /** The rest of a chunk, no more: nothing is read meanwhile. */
  #hold(packet: Uint8Array): void {
    this.#held = (this.#held ?? new HeldPackets(this.admission)).with(packet)
  }

  authenticates(authentication: Authentication): void {
    this.#phase = "authenticating"
    this.#authentication = authentication
  }

  identified(principal: Principal): void {
    this.principal = principal
    this.#phase = "opening"
  }

  challenged(): void {
    if (this.#phase === "authenticating") this.#takeHeld()
  }

  notAuthenticated(error: MqttError): void {
    if (this.#phase !== "authenticating") this.violated(error)
    else this.refuse(connackOf(error, this.packetSizeMax), error.message, error.reasonCode)
  }

  #authenticationPacket(bytes: Uint8Array): void {
    const packet = decodePacket(bytes, this.version, this.mount.decoding)
    if (packet._tag === "Disconnect") return this.#shut()
    this.#transport.pause()
    this.#authentication!.receivedFirst(packet)
  }

  authenticated(): void {
    this.admission.authenticated()
    this.#splitter.sizeMax = this.mqtt.broker.limits.mqttPacketBytesMax
  }

  opened(): void {
    this.#phase = "open"
    this.#takeHeld()
  }

  #takeHeld(): void {
    const held = this.#held?.release() ?? []
    this.#held = undefined
    this.guarded(() => {
      for (const packet of held) if (this.#phase !== "closed" && this.#phase !== "ending") this.#packet(packet)
    })
    if (this.#holds) return
    this.#readsAfterHeld = false
    const end = this.#heldEnd
    this.#heldEnd = undefined
    if (this.#phase !== "open" && this.#phase !== "authenticating") return
    this.#readOn()
    if (end !== undefined) this.guarded(end)
  }

  /** The work for many filters would keep all other clients waiting: see `TurnShare`. */
  #waitsForTurn(packetType: number): boolean {
    if (packetType !== PacketType.Subscribe && packetType !== PacketType.Unsubscribe) return false
    return this.mqtt.filters.isUsedUp
  }

  #sessionPacket(bytes: Uint8Array): void {
    const { decoding } = this.mount
    if (this.#waitsForTurn(bytes[0]! >>> 4)) {
      this.#hold(bytes)
      this.#readsAfterHeld = true
      this.#transport.pause()
      this.mqtt.filters.wait(() => this.#takeHeld())
      return
    }
    if (bytes[0]! >>> 4 === PacketType.Publish) {
      const publish = decodePublish(bytes, this.version, decoding)
      this.incoming.publish(publish, this.#nowMs)
      if (publish.qos > 0 && this.#slowSinceMs > 0) this.#asked()
      return
    }
    this.#control(decodePacket(bytes, this.version, decoding))
  }

  /** A client that asks and does not take the answers is read no further: answers of a few bytes each would fill the memory as well. */
  #asked(): void {
    if (!this.isSlow || this.#phase !== "open") return
    this.#readsAfterDrain = true
    this.#transport.pause()
  }

  #control(packet: SessionPacket): void {
    switch (packet._tag) {
      case "Publish":
        this.incoming.publish(packet, this.#nowMs)
        return
      case "Puback":
        this.#outgoing?.acknowledged(packet.packetId)
        this.#pumpFeeds()
        return
      case "Pubrec":
        this.outgoing.received(packet.packetId, packet.reasonCode)
        this.#pumpFeeds()
        return
      case "Pubrel":
        this.incoming.release(packet.packetId)
        this.#asked()
        return
      case "Pubcomp":
        this.#outgoing?.completed(packet.packetId)
        this.#pumpFeeds()
        return
      case "Subscribe":
        subscribe(this, packet)
        this.#asked()
        return
      case "Unsubscribe":
        this.mqtt.filters.use(packet.filters.length)
        unsubscribe(this, packet)
        this.#asked()
        return
      case "Pingreq":
        this.send(pingresp)
        this.#asked()
        return
      case "Disconnect":
        this.#disconnected(packet)
        return
      case "Auth":
        // [MQTT-4.12.0-7]
        if (this.#authentication !== undefined) this.#authentication.received(packet)
        else throw new MqttError(ReasonCode.ProtocolError, "AUTH from a client whose CONNECT names no method")
    }
  }

  #disconnected(packet: Disconnect): void {
    const { sessionExpiryMsMax } = this.mqtt.broker.limits
    const expiryMs = expiryAfter(packet, this.sessionExpiryMs, sessionExpiryMsMax)
    const publishesWill = packet.reasonCode !== ReasonCode.NormalDisconnection
    this.#endBehindAnswers(() => this.#left(publishesWill, expiryMs, endByClient(packet)))
  }

  // --- To the session's actor ---

  ask<const C extends SessionCommand>(packet: string, command: C, reply: Reply<C>, answered?: Reply<C>): void {
    this.mqtt.offerToSession(this.clientId, command, this.origin(packet), this.#counted(reply, answered))
  }

  askAll(
    packet: string,
    list: CommandList,
    reply: (answer: ListAnswer) => void,
    answered: (answer: ListAnswer) => void
  ): void {
    const shard = this.mqtt.broker.shards.of(sessionActor(this.clientId))
    shard.askAll(list, { origin: this.origin(packet) }, this.#counted(reply, answered))
  }

  #counted<A>(reply: (answer: A) => void, answered: ((answer: A) => void) | undefined): (answer: A) => void {
    this.#asks++
    return (answer) => {
      this.#asks--
      answered?.(answer)
      if (this.#phase !== "closed") this.guarded(() => reply(answer))
    }
  }

  // --- Out ---

  answer(packet: Uint8Array): boolean {
    if (packet.length <= this.packetSizeMax) {
      this.send(packet)
      return true
    }
    const reason = "an answer is above the client's Maximum Packet Size"
    const end: ConnectionEnd = { by: "protocol", reasonCode: ReasonCode.PacketTooLarge, reason }
    if (this.isOpening) this.#refused(end)
    else this.#endBehindAnswers(() => this.#refused(end))
    return false
  }

  /** Written with all others of this turn of the event loop. */
  send(packet: Uint8Array, payload?: Uint8Array): void {
    if (this.#phase === "closed") return
    this.mqtt.acks.leave(this)
    this.mqtt.metrics.sentPackets.add(1)
    this.pushOut(packet)
    if (payload !== undefined) this.pushOut(payload)
  }

  /** An acknowledgement of four bytes, reason Success. */
  ack(firstByte: number, packetId: number): void {
    if (this.#phase === "closed") return
    this.mqtt.metrics.sentPackets.add(1)
    this.mqtt.acks.write(this, firstByte, packetId)
    this.touched()
  }

  pushOut(bytes: Uint8Array): void {
    this.#out.push(bytes)
    this.#outBytes += bytes.length
    // So that a burst fills the socket before it counts as unsent.
    if (this.#outBytes >= flushBytesMin) this.flush()
    else this.touched()
  }

  /** Something waits for `flush`. */
  touched(): void {
    if (this.#isTouched) return
    this.#isTouched = true
    this.mqtt.flushSoon(this)
  }

  flush(): void {
    this.#isTouched = false
    if (this.#phase !== "closed") this.#outgoing?.flush()
    this.mqtt.acks.leave(this)
    if (this.#out.length === 0) return
    const out = this.#out
    this.#out = []
    this.mqtt.metrics.sentBytes.add(this.#outBytes)
    this.#outBytes = 0
    this.#transport.write(out)
    this.#keepUnsent()
    if (this.#slowSinceMs === 0 && this.isSlow) this.#slowSinceMs = this.mqtt.broker.clock.monotonicMs()
  }

  #keepUnsent(): void {
    const { unsentBytes } = this.#transport
    if (unsentBytes === this.#unsentBytes) return
    this.admission.add("transit", unsentBytes - this.#unsentBytes)
    this.#unsentBytes = unsentBytes
  }

  onDrain(): void {
    this.#keepUnsent()
    this.#slowSinceMs = 0
    if (this.#phase !== "open") return
    if (this.#readsAfterDrain) {
      this.#readsAfterDrain = false
      this.#readOn()
    }
    this.guarded(() => {
      this.#outgoing?.pump()
      this.#pumpFeeds()
    })
    if (this.#feed?.isEmpty) this.#feed = undefined
  }

  /** The client may have room for more. */
  #pumpFeeds(): void {
    this.#feed?.pump()
    this.#streams?.hasTaken()
  }

  // --- The end ---

  sweep(nowMs: number): void {
    const { connectTimeoutMs, frameStallMs, slowConsumerStallMs } = this.mqtt.broker.limits
    this.#keepUnsent()
    if (this.#phase === "closed") return
    if (this.#phase === "connecting") {
      if (nowMs - this.#acceptedMs >= connectTimeoutMs) {
        this.violated(new MqttError(ReasonCode.KeepAliveTimeout, "no CONNECT in time"))
      }
    } else if (this.#isReading && this.#packetSinceMs > 0 && nowMs - this.#packetSinceMs >= frameStallMs) {
      this.#refused({ by: "frame stall" })
    } else if (this.#isReading && this.keepAliveMs > 0 && nowMs - this.#lastReadMs >= this.keepAliveMs * 1.5) {
      // [MQTT-3.1.2-22]
      this.close({ by: "keep alive", keepAliveMs: this.keepAliveMs })
    } else if (this.isOpen && this.#slowSinceMs > 0 && nowMs - this.#slowSinceMs >= slowConsumerStallMs) {
      this.#refused({ by: "slow consumer" })
    } else if ((this.#slowSinceMs > 0 || this.#readsAfterDrain) && !this.isSlow) this.onDrain()
  }

  /**
   * Ends the connection once everything that was taken is answered: a client gets the same however its bytes were
   * cut, and nothing is sent and stored twice because the answer went with the connection. Nothing more is taken.
   */
  #endBehindAnswers(finish: () => void): void {
    if (this.#phase !== "open") return
    this.#outgoing?.flush()
    if (this.#asks === 0 && this.#incoming?.isWaiting !== true) {
      finish()
      return
    }
    this.#phase = "ending"
    const hasLeft = this.mqtt.leaves()
    this.#finish = () => {
      finish()
      hasLeft()
    }
    this.#transport.resume()
    this.mqtt.broker.shards.ack({ acked: () => this.#finishNow() }, 0, undefined, 0)
    this.#arm(answersMsMax, () => this.#finishNow())
  }

  /** In place of what was armed before: the end of `ending`, then that of the socket. */
  #arm(delayMs: number, task: () => void): void {
    this.#disarm?.()
    this.#disarm = this.mqtt.broker.clock.after(delayMs, task)
  }

  #finishNow(): void {
    const finish = this.#finish
    this.#finish = undefined
    finish?.()
  }

  /** The client sent what it may not: the reply that its protocol has for it, one line in the log, the end. */
  violated(error: MqttError): void {
    if (this.#phase === "connecting") {
      this.packetSizeMax = error.connackSizeMax
      this.refuse(encodeConnackRefusal(error), error.message, error.reasonCode)
    } else if (this.#phase === "authenticating" && !this.#holds) this.notAuthenticated(error)
    else if (this.#holds) this.#heldEnd ??= () => this.violated(error)
    else {
      const end: ConnectionEnd = { by: "protocol", reasonCode: error.reasonCode, reason: error.message }
      this.#endBehindAnswers(() => this.#refused(end))
    }
  }

  #refused(end: ConnectionEnd): void {
    if (this.#phase === "closed") return
    const { code, reasonString: reason } = disconnectOf(end, null)
    this.mqtt.metrics.refusedConnections.add(1)
    this.#tellFault({ by: end.by, code: codeText(code), reason })
    this.#close(end)
  }

  refuse(packet: Uint8Array | undefined, reason: string, code?: number): void {
    if (this.#phase === "closed") return
    this.mqtt.metrics.refusedConnections.add(1)
    this.#tellFault({ code: code === undefined ? undefined : codeText(code), reason })
    if (packet !== undefined && packet.length <= this.packetSizeMax) this.send(packet)
    this.#shut()
  }

  /** Logs why the server ends a connection, or does not take it: its client, or the session, is at fault. */
  #tellFault(fields: Fields): void {
    const what = this.isOpen ? "ended" : "refused"
    this.mqtt.faults.write(`mqtt: connection ${what}`, { ...this.#who(), ...fields })
  }

  lost(reason: string): void {
    // A connection that ends may still have asked for something: another one may have the session already.
    if (this.#phase === "closed" || this.#phase === "ending") return
    const end: ConnectionEnd = { by: "server", reason }
    this.#tellFault(endFields(end))
    this.#close(end)
  }

  close(end: ConnectionEnd): void {
    const close = (): void => {
      this.#tellEnd(end)
      this.#close(end)
    }
    if (this.#phase === "open") this.#endBehindAnswers(close)
    else if (this.#phase !== "ending" && this.#phase !== "closed") close()
  }

  #close(end: ConnectionEnd): void {
    if (this.version === 5 && this.isOpen) {
      const { code, ...properties } = disconnectOf(end, this.mqtt.options.serverReference)
      this.send(encodeDisconnect(code, properties, this.packetSizeMax))
    }
    this.#leave(true, null, end)
    this.#shut()
  }

  takenOver(): void {
    // DISCONNECT's word on the will and the session counts before another connection has them.
    this.#finishNow()
    this.#hasLeft = true
    this.tellTaken()
    this.#stopFeed()
    this.mqtt.unserve(this)
    this.session = undefined
    this.close({ by: "takeover" })
  }

  tellTaken(): void {
    this.#streams?.flush()
    this.#outgoing?.flush()
  }

  kicked(): void {
    this.#hasLeft = true
    this.close({ by: "kick" })
  }

  /** The client sends nothing more, and has not said goodbye: its will is due [MQTT-3.1.2-8]. */
  ended(how = "FIN"): void {
    if (this.#phase === "connecting" || (this.#phase === "authenticating" && !this.#holds)) this.#shut()
    else if (this.#holds) this.#heldEnd ??= () => this.ended(how)
    else this.#endBehindAnswers(() => this.#left(true, null, { by: "socket", error: how }))
  }

  /** The system tells why a socket closes next, such as `ECONNRESET`. */
  failed(error: string): void {
    this.#socketError ??= error
  }

  onClosed(): void {
    this.#finishNow()
    if (this.#phase !== "closed") {
      const end: ConnectionEnd = { by: "socket", error: this.#socketError ?? "closed" }
      this.#tellEnd(end)
      this.#leave(true, null, end)
    }
    this.#disarm?.()
    this.#closed()
    this.admission.release()
    this.mqtt.closed(this)
  }

  get #hasSession(): boolean {
    return this.#phase === "opening" || this.isOpen
  }

  /** Logs the end, unless the connection never was a client's: nobody wants to read of those of health checks. */
  #tellEnd(end: ConnectionEnd): void {
    if (this.#hasSession) this.mqtt.ends.write("mqtt: connection ended", { ...this.#who(), ...endFields(end) })
  }

  /** The client ended it. */
  #left(publishWill: boolean, sessionExpiryMs: number | null, end: ConnectionEnd): void {
    this.#tellEnd(end)
    this.#leave(publishWill, sessionExpiryMs, end)
    this.#shut()
  }

  #leave(publishWill: boolean, sessionExpiryMs: number | null, end: ConnectionEnd): void {
    if (this.#hasLeft || !this.#hasSession) return
    this.#hasLeft = true
    this.tellTaken()
    const command = { _tag: "Disconnect", connectionId: this.id, publishWill, sessionExpiryMs, end } as const
    this.mqtt.left(this.clientId, command, this.origin(endText(end)))
  }

  /** See `endSoftly`. */
  #shut(): void {
    this.mqtt.acks.leave(this)
    this.#closed()
    this.flush()
    this.#transport.resume()
    this.#transport.end()
    this.#arm(lingerMs, () => this.#transport.destroy())
  }

  #closed(): void {
    if (this.#phase === "closed") return
    this.#phase = "closed"
    this.#splitter.drop()
    this.#keepPart(0)
    this.#held?.release()
    this.#held = undefined
    this.#authentication?.stop()
    this.#stopFeed()
    this.mqtt.unserve(this)
    this.#giveUpShared()
  }

  /** Others who share its subscriptions get what it has not acknowledged, unless that waits in its session. */
  #giveUpShared(): void {
    const shared = this.#outgoing?.giveUpShared()
    if (shared === undefined) return
    const { messages, lost } = shared
    if (lost > 0) this.mqtt.sharedLost(this.clientId, lost)
    if (messages.length > 0) this.mqtt.shared.redeliver(this.clientId, messages)
  }

  /** Stops the feeds and leaves to the session which retained messages are still due. */
  #stopFeed(): void {
    const due = this.#feed?.stop()
    this.#feed = undefined
    this.#streams?.stop()
    const { session } = this
    if (due !== undefined && session !== undefined) session.retainedDue = [...session.retainedDue, ...due]
  }

  #who(): Fields {
    return { client: this.clientId || undefined, user: userOf(this.principal), address: this.address }
  }
}
