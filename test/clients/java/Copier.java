import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Java's client: copies a topic in transactions, as test/transactions/Copier.ts has it. */
public class Copier {
  static final int RECORDS_MAX = 20;
  static String brokers, source, target, name;
  static volatile boolean isEnding = false;

  static KafkaProducer<String, String> producer() {
    Map<String, Object> config = Map.of("bootstrap.servers", brokers, "transactional.id", name, "transaction.timeout.ms", 20_000,
        "max.block.ms", 10_000, "reconnect.backoff.max.ms", 500);
    var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    untilDone(producer::initTransactions);
    return producer;
  }

  static KafkaConsumer<String, String> consumer() {
    Map<String, Object> config = Map.of("bootstrap.servers", brokers, "group.id", name, "enable.auto.commit", false,
        "auto.offset.reset", "earliest", "isolation.level", "read_committed", "max.poll.records", RECORDS_MAX,
        "reconnect.backoff.max.ms", 500, "session.timeout.ms", 6000);
    var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    consumer.subscribe(List.of(source));
    return consumer;
  }

  /** What timed out may be called again. */
  static void untilDone(Runnable call) {
    while (true) {
      try {
        call.run();
        return;
      } catch (TimeoutException late) {
      }
    }
  }

  /** To what is committed, as a member that takes the partitions over. */
  static void rewind(KafkaConsumer<String, String> consumer) {
    untilDone(() -> {
      var committed = consumer.committed(consumer.assignment());
      for (var partition : consumer.assignment()) {
        var offset = committed.get(partition);
        consumer.seek(partition, offset == null ? 0 : offset.offset());
      }
    });
  }

  static void copy(KafkaProducer<String, String> producer, KafkaConsumer<String, String> consumer,
      ConsumerRecords<String, String> records, boolean isAborted) {
    producer.beginTransaction();
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    for (var record : records) {
      String place = record.partition() + ":" + record.offset();
      producer.send(new ProducerRecord<>(target, record.partition(), null, name + " " + place));
      offsets.put(new TopicPartition(source, record.partition()), new OffsetAndMetadata(record.offset() + 1));
    }
    untilDone(() -> producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata()));
    untilDone(isAborted ? producer::abortTransaction : producer::commitTransaction);
  }

  public static void main(String[] args) throws Exception {
    brokers = args[0];
    source = args[1];
    target = args[2];
    name = args[3];
    double abortShare = Double.parseDouble(args[4]);
    var random = new Random(Long.parseLong(args[5]));
    var input = new Thread(Copier::waitForEnd);
    input.setDaemon(true);
    input.start();
    var producer = producer();
    try (var consumer = consumer()) {
      while (!isEnding) {
        var records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        boolean isAborted = random.nextDouble() < abortShare;
        try {
          copy(producer, consumer, records, isAborted);
          System.out.println(isAborted ? "aborted" : "committed");
          if (!isAborted) continue;
        } catch (KafkaException failure) {
          System.out.println("because " + failure);
          untilDone(producer::abortTransaction);
          System.out.println("failed");
        }
        rewind(consumer);
      }
    } catch (KafkaException failure) {
      System.out.println("ends because " + failure);
      Runtime.getRuntime().halt(3);
    }
    producer.close();
  }

  static void waitForEnd() {
    try {
      while (System.in.read() != -1) {}
    } catch (java.io.IOException closed) {
    }
    isEnding = true;
  }
}
