import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Arguments: brokers, topic. Prints every committed record up to the end: partition, offset, timestamp, base64 key and value, "-" for null. */
public class ReadAll {
  static String textOf(byte[] bytes) {
    return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
  }

  public static void main(String[] args) {
    Map<String, Object> config = Map.of("bootstrap.servers", args[0], "enable.auto.commit", false, "check.crcs", true,
        "isolation.level", "read_committed");
    var deserializer = new ByteArrayDeserializer();
    var out = new StringBuilder();
    try (var consumer = new KafkaConsumer<>(config, deserializer, deserializer)) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(args[1]).stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
        for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(500))) {
          out.append(r.partition()).append(' ').append(r.offset()).append(' ').append(r.timestamp()).append(' ')
              .append(textOf(r.key())).append(' ').append(textOf(r.value())).append('\n');
        }
      }
    }
    System.out.print(out);
  }
}
