import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeAcls } from "@logbrook/protocols/kafka/messages/29_DescribeAcls"
import { refused } from "../errors.ts"
import { handler } from "../Handler.ts"

// DescribeAcls 1-3: there are no ACLs, and the answer is that of a Kafka broker without an authorizer: MirrorMaker 2, which copies those of topics,
// then knows that there is nothing to copy.

const noAuthorizer = refused(KafkaError.SECURITY_DISABLED, "No Authorizer is configured on the broker")

export const describeAclsHandler = handler(DescribeAcls, {
  serves: [1, 3],
  needs: { Cluster: ["Describe"] },
  handle: (context) => {
    const { code, message } = context.deniedCluster("Describe") ?? noAuthorizer
    return { errorCode: code, errorMessage: message, resources: [] }
  }
})
