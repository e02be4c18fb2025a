import { configDefaults, defineConfig } from "vitest/config"

/** A test that stands still is told late, so that a slow machine fails none: their own bounds are what they assert. */
const unitTimeoutMs = 600_000
/** So long `expect.poll` looks for what a test waits for. */
const pollTimeoutMs = 30_000

/** What takes longest: kills, many seeds, damage of every kind, segments that fill up and settle. A step of its own in CI, so that `npm test` is short. */
const long = [
  "packages/core/test/settle/compact.property.test.ts",
  "packages/core/test/settle/crash.test.ts",
  "packages/core/test/settle/rewrite.test.ts",
  "packages/core/test/settle/settle.property.test.ts",
  "packages/core/test/settle/compactModel.test.ts",
  "packages/server/test/mqtt/readNoFurther.test.ts",
  "packages/server/test/mqtt/retainedFeed.test.ts",
  "test/system/doctor.test.ts",
  "test/system/doctorBeside.test.ts",
  "test/system/streamsOverMqtt.test.ts",
  "test/system/backup.test.ts",
  "test/system/compact.test.ts",
  "test/system/settle.test.ts",
  "test/system/journalKill.test.ts",
  "test/system/simulation.test.ts"
]

interface Options {
  readonly exclude?: ReadonlyArray<string>
  readonly isolate?: boolean
}

/**
 * `unit` and `core`: in process. `system`: child processes of the whole product, npm only. `clients`: needs `test/clients/install.sh`.
 * The files of `unit` share their worker's modules, which takes 22 instead of 110 s of CPU to load for those of the server
 * alone; so none of them may leave anything running. Those of `core` fork, kill and fill memory: each has a process of its own.
 */
const project = (
  name: string,
  include: ReadonlyArray<string>,
  testTimeout: number,
  { exclude = long, isolate = true }: Options = {}
) => ({
  resolve: { conditions: ["source", "node", "import", "default"] },
  ssr: {
    resolve: { conditions: ["source", "node", "import", "default"], externalConditions: ["node", "import", "default"] }
  },
  test: {
    name,
    include: [...include],
    exclude: [...configDefaults.exclude, ...exclude],
    testTimeout,
    hookTimeout: testTimeout,
    expect: { poll: { timeout: pollTimeoutMs } },
    pool: "forks" as const,
    poolOptions: { forks: { isolate } }
  }
})

export default defineConfig({
  test: {
    // By default one core is left alone: of two, half of the machine.
    maxWorkers: 2,
    minWorkers: 1,
    projects: [
      project("unit", ["packages/{protocols,actors,server}/test/**/*.test.ts", "test/*.test.ts"], unitTimeoutMs, {
        isolate: false
      }),
      project("core", ["packages/core/test/**/*.test.ts"], unitTimeoutMs),
      project("system", ["test/system/**/*.test.ts"], 240_000),
      project("long", long, 240_000, { exclude: [] }),
      project("clients", ["test/clients/**/*.test.ts"], 180_000)
    ]
  }
})
