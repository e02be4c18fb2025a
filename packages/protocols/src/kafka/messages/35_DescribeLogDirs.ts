import * as K from "../Schema.ts"

/** DescribeLogDirs 1-5 (KIP-113). v3: an error for the whole; v4: the size of the disk (KIP-827); v5: cordoned directories (KIP-1066). */
export const DescribeLogDirs = K.api(35, "DescribeLogDirs", {
  versions: [1, 5],
  flexible: 2,
  request: {
    topics: K.nullableArray({ topic: K.string, partitions: K.array(K.int32) })
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.v("3+", K.int16, 0),
    results: K.array({
      errorCode: K.int16,
      logDir: K.string,
      topics: K.array({
        name: K.string,
        partitions: K.array({
          partitionIndex: K.int32,
          partitionSize: K.int64,
          offsetLag: K.int64,
          isFutureKey: K.bool
        })
      }),
      totalBytes: K.v("4+", K.int64, -1),
      usableBytes: K.v("4+", K.int64, -1),
      isCordoned: K.v("5+", K.bool, false)
    })
  }
})
