import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.KStream;

/**
 * Arguments: brokers, application id, processing guarantee, from, copies, counts, state directory. Copies messages as they are, and counts them by their first
 * word: each message makes one record of the new count. Prints its state when it changes, until it is ended.
 */
public class CountByRoom {
  public static void main(String[] args) {
    var config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[2]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[6]);
    config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    config.put("auto.offset.reset", "earliest");
    // The tasks of an instance that was killed go to others soon.
    config.put("session.timeout.ms", 6000);
    config.put("heartbeat.interval.ms", 1000);

    var builder = new StreamsBuilder();
    KStream<String, String> messages = builder.stream(args[3]);
    messages.to(args[4]);
    messages.groupBy((key, value) -> value.split(" ")[0]).count().toStream().mapValues(String::valueOf).to(args[5]);

    var streams = new KafkaStreams(builder.build(), config);
    streams.setStateListener((now, before) -> System.out.println("state " + now));
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
    streams.start();
  }
}
