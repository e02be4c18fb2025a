/** A fault of the program's own, for a log: with its stack, if it has one. */
export const defectText = (defect: unknown): string =>
  defect instanceof Error ? (defect.stack ?? defect.message) : String(defect)
