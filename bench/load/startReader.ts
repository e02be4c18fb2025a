import { KafkaReader } from "./KafkaReader.ts"
import { MqttReader } from "./MqttReader.ts"
import type { Reader, ReaderEvents, Reading } from "./Reader.ts"

/** Resolves once everything that is published from now on will come. */
export const startReader = (reading: Reading, events: ReaderEvents): Promise<Reader> =>
  reading.protocol === "mqtt"
    ? MqttReader.subscribe(reading.port, reading.filter, events)
    : KafkaReader.follow(reading, events)
