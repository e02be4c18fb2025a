import * as path from "node:path"
import { javaSource } from "../support/java.ts"
import { pythonSource } from "../support/python.ts"
import type { Library } from "./Copier.ts"

const python = (packages: string) => pythonSource({ packages, program: "copier.py" }, [])

/** Java speaks Kafka's `transaction.version` 2, all others 1. */
export const libraries = {
  librdkafka: python("confluent"),
  "librdkafka-2024": python("confluent-2024"),
  kafkajs: { command: process.execPath, args: [path.join(import.meta.dirname, "kafkajsCopier.ts")] },
  java: { command: "java", args: javaSource("Copier.java", []) }
} as const satisfies Readonly<Record<string, Library>>

export type LibraryName = keyof typeof libraries
