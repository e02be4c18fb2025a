/** A fault in the product's source, which the tests of its own package must catch. */
export interface Mutant {
  /** Says what is wrong then. */
  readonly id: string
  /** Below `packages/`. */
  readonly file: string
  /** Stands exactly once in the file. */
  readonly from: string
  readonly to: string
  /** Test files or directories, below the package's `test/`. */
  readonly tests: ReadonlyArray<string>
}

/** Of each source file, below the package's `src/`: the tests that must fail, and the faults: what is wrong, the text, what stands there instead. */
export type Faults = Readonly<
  Record<
    string,
    {
      readonly tests: ReadonlyArray<string>
      readonly faults: ReadonlyArray<readonly [id: string, from: string, to: string]>
    }
  >
>

export const inPackage = (name: string, byFile: Faults): ReadonlyArray<Mutant> =>
  Object.entries(byFile).flatMap(([file, { tests, faults }]) =>
    faults.map(([id, from, to]) => ({
      id: `${name}: ${id}`,
      file: `${name}/src/${file}`,
      from,
      to,
      tests: tests.map((test) => `packages/${name}/test/${test}`)
    }))
  )
