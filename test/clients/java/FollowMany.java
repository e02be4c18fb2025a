import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Arguments: brokers, the number of records, topics. Follows all partitions of the topics from their beginnings until it has so many
 * records; says "ready" before, and prints each as it comes: topic, partition, offset, value.
 */
public class FollowMany {
  public static void main(String[] args) {
    Map<String, Object> config = Map.of("bootstrap.servers", args[0], "enable.auto.commit", false);
    var deserializer = new StringDeserializer();
    try (var consumer = new KafkaConsumer<>(config, deserializer, deserializer)) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (int i = 2; i < args.length; i++) {
        consumer.partitionsFor(args[i]).forEach(p -> partitions.add(new TopicPartition(p.topic(), p.partition())));
      }
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      consumer.poll(Duration.ofMillis(500));
      System.out.println("ready");
      for (int left = Integer.parseInt(args[1]); left > 0; ) {
        for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(500))) {
          System.out.println(r.topic() + " " + r.partition() + " " + r.offset() + " " + r.value());
          left--;
        }
      }
    }
  }
}
