import com.hivemq.client.mqtt.MqttClient;
import com.hivemq.client.mqtt.MqttClientBuilder;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** PORT VERSION TOPIC COUNT: the HiveMQ client publishes COUNT messages of QoS 2 in one go. */
public class Burst {
  public static void main(String[] args) throws Exception {
    int version = Integer.parseInt(args[1]);
    int count = Integer.parseInt(args[3]);
    AtomicInteger connections = new AtomicInteger();
    MqttClientBuilder builder = MqttClient.builder()
        .identifier("hivemq-" + version)
        .serverHost("127.0.0.1")
        .serverPort(Integer.parseInt(args[0]))
        .automaticReconnectWithDefaultConfig()
        .addConnectedListener(context -> connections.incrementAndGet());
    if (version == 5) {
      var client = builder.useMqttVersion5().buildAsync();
      client.connect().get(30, TimeUnit.SECONDS);
      all(count, i -> client.publishWith().topic(args[2]).qos(MqttQos.EXACTLY_ONCE).payload(text(i)).send());
      client.disconnect().get(30, TimeUnit.SECONDS);
    } else {
      var client = builder.useMqttVersion3().buildAsync();
      client.connect().get(30, TimeUnit.SECONDS);
      all(count, i -> client.publishWith().topic(args[2]).qos(MqttQos.EXACTLY_ONCE).payload(text(i)).send());
      client.disconnect().get(30, TimeUnit.SECONDS);
    }
    System.out.println(count + " done on " + connections + " connections");
  }

  private static byte[] text(int i) {
    return Integer.toString(i).getBytes();
  }

  private static void all(int count, IntFunction<CompletableFuture<?>> publish) throws Exception {
    CompletableFuture<?>[] sent = IntStream.range(0, count).mapToObj(publish).toArray(CompletableFuture[]::new);
    CompletableFuture.allOf(sent).get(60, TimeUnit.SECONDS);
  }
}
