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
  "test/system/durableReaders.test.ts",
  "test/system/streamsOverMqtt.test.ts",
  "test/system/backup.test.ts",
  "test/system/compact.test.ts",
  "test/system/settle.test.ts",
  "test/system/journalKill.test.ts",
  "test/system/simulation.test.ts"
]

/**
 * `unit`: pure, in process. `system`: real sockets, disks and child processes, npm only. `clients`: needs `test/clients/install.sh`.
 * `ecosystem`: needs Java, Maven, Python and kcat, which that installs, and gets each engine when its test first runs.
 */
const project = (
  name: string,
  include: ReadonlyArray<string>,
  testTimeout: number,
  exclude: ReadonlyArray<string> = long
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
    pool: "forks" as const
  }
})

export default defineConfig({
  test: {
    // By default one core is left alone: of two, half of the machine.
    maxWorkers: 2,
    minWorkers: 1,
    // The files of a worker share its modules, which else take half of the time of all tests to load: no file may leave
    // anything running, or change what is everybody's.
    poolOptions: { forks: { isolate: false } },
    projects: [
      project("unit", ["packages/*/test/**/*.test.ts", "test/*.test.ts"], unitTimeoutMs),
      project("system", ["test/system/**/*.test.ts"], 240_000),
      project("long", long, 240_000, []),
      project("clients", ["test/clients/**/*.test.ts"], 180_000),
      project("ecosystem", ["test/ecosystem/**/*.test.ts"], 600_000)
    ]
  }
})
