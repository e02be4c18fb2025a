import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Arguments: brokers, from, to, transactional id, records. Copies committed records with their offsets; the first transaction is aborted. Then another
 * producer takes the transactional id. Prints what became of the first one.
 */
public class CopyInTransactions {
  public static void main(String[] args) throws Exception {
    String from = args[1], to = args[2];
    int count = Integer.parseInt(args[4]);
    Map<String, Object> writing =
        Map.of("bootstrap.servers", args[0], "transactional.id", args[3], "transaction.timeout.ms", 20000);
    Map<String, Object> reading = Map.of("bootstrap.servers", args[0], "group.id", args[3], "enable.auto.commit", false,
        "auto.offset.reset", "earliest", "isolation.level", "read_committed", "max.poll.records", 4);
    var serializer = new ByteArraySerializer();
    var producer = new KafkaProducer<>(writing, serializer, serializer);
    producer.initTransactions();
    try (var consumer = new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(List.of(from));
      boolean isAborted = false;
      for (int copied = 0; copied < count;) {
        var records = consumer.poll(Duration.ofMillis(500));
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (var record : records) {
          producer.send(new ProducerRecord<>(to, record.partition(), record.key(), record.value()));
          offsets.put(new TopicPartition(from, record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        if (isAborted) {
          producer.commitTransaction();
          copied += records.count();
          continue;
        }
        producer.abortTransaction();
        isAborted = true;
        consumer.seekToBeginning(consumer.assignment());
      }
    }
    var next = new KafkaProducer<>(writing, serializer, serializer);
    next.initTransactions();
    try {
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(to, "zombie".getBytes()));
      producer.commitTransaction();
      System.out.println("not fenced");
    } catch (Exception e) {
      System.out.println("fenced");
    }
    producer.close(Duration.ZERO);
    next.close();
  }
}
