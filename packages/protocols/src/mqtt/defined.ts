/** `fields` without those that are `undefined`. */
export const defined = <T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T => {
  const kept: Partial<T> = {}
  for (const name of Object.keys(fields) as Array<keyof T>) {
    const value = fields[name]
    if (value !== undefined) kept[name] = value
  }
  return kept as T
}
