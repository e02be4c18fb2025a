import { expect } from "vitest"
import type { ServerProcess } from "../support/server.ts"

/**
 * That the server has closed no connection of Kafka clients for what they had sent, or for a defect of its own, since it started. A client
 * that polls late, as on a busy machine, has connected and sent nothing, is closed for that, and connects again: that is no fault in what it sent.
 */
export const expectNoViolations = async (server: ServerProcess): Promise<void> => {
  expect(await server.metric("logbrook_kafka_received_bytes_total")).toBeGreaterThan(0)
  const closed = server.log().match(/^.*kafka: (connection closed|defect).*$/gm) ?? []
  expect(closed.filter((line) => !line.includes("no request in time"))).toEqual([])
  expect(await server.metric("logbrook_kafka_violations_total")).toBe(0)
}
