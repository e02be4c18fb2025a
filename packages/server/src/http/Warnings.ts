import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { Broker } from "../Broker.ts"
import type { RetentionClock } from "../RetentionClock.ts"
import { bytesText, durationText } from "../units.ts"

/** The header of every answer of the API that has warnings: a JSON array of texts, in ASCII. */
export const warningsHeader = "logbrook-warnings"

const streamsShown = 3
/** All partitions are looked at for it. */
const adviceEveryMs = 5000

/** The warnings that an operator should see whatever was asked: nearly always there are none. */
export class Warnings {
  readonly #broker: Broker
  readonly #retentionClock: Pick<RetentionClock, "isHeld">
  #advice = ""
  #adviceAtMs = -Infinity

  constructor(broker: Broker, retentionClock: Pick<RetentionClock, "isHeld">) {
    this.#broker = broker
    this.#retentionClock = retentionClock
  }

  texts(): ReadonlyArray<string> {
    const texts: Array<string> = []
    const { disk } = this.#broker
    if (disk.isLow) {
      const room = `${bytesText(disk.freeBytes)} are free, ${bytesText(disk.reserveBytes)} are kept in reserve`
      texts.push(`the disk is low, writes are refused: ${room}; ${this.#whatFrees()}`)
    }
    if (this.#retentionClock.isHeld) {
      texts.push(
        "the machine's clock ran ahead, retention does not follow it: logbrook clock trust, if it is right now"
      )
    }
    return texts
  }

  #whatFrees(): string {
    const nowMs = this.#broker.clock.monotonicMs()
    if (nowMs - this.#adviceAtMs < adviceEveryMs) return this.#advice
    this.#adviceAtMs = nowMs
    const largest = largestStreams(this.#broker)
    const how = "logbrook streams alter NAME --retention, or streams delete NAME, frees room"
    this.#advice = largest.length === 0 ? "no stream has any records" : `${how}; the largest: ${largest.join(", ")}`
    return this.#advice
  }
}

const largestStreams = ({ directory, shards }: Broker): ReadonlyArray<string> => {
  const sized = Array.from(directory.all().values(), (stream) => {
    const bytes = stream.logIds.reduce((sum, logId) => sum + (shards.logsOf(logId).find(logId)?.byteLength ?? 0), 0)
    return { stream, bytes }
  })
  return sized
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, streamsShown)
    .map(({ stream, bytes }) => `${stream.name} (${bytesText(bytes)}, ${keptText(stream)})`)
}

const keptText = ({ config }: Stream): string => {
  const { isCompacted, isExpiring, retentionMs } = effectiveConfig(config)
  if (isCompacted && !isExpiring) return "compacted only"
  return !isExpiring || retentionMs < 0 ? "kept for ever" : `kept for ${durationText(retentionMs)}`
}
