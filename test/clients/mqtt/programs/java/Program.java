import com.hivemq.client.mqtt.MqttClient;
import com.hivemq.client.mqtt.MqttClientBuilder;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Drives HiveMQ's client. */
public class Program {
  /** What is said behind a verb. */
  static class Words extends HashMap<String, String> {
    int number(String name) {
      return Integer.parseInt(getOrDefault(name, "0"));
    }

    boolean isSet(String name) {
      return "1".equals(get(name));
    }
  }

  /** A connection of either version. */
  interface Connection {
    CompletableFuture<?> connect();

    CompletableFuture<?> subscribe(Words words);

    CompletableFuture<?> publish(Words words);

    CompletableFuture<?> disconnect();
  }

  static synchronized void say(String line) {
    System.out.println(line);
  }

  static String text(ByteBuffer bytes) {
    return StandardCharsets.UTF_8.decode(bytes).toString();
  }

  /** What does not depend on the version. */
  static MqttClientBuilder builder(Words words) {
    MqttClientBuilder builder = MqttClient.builder()
        .identifier(words.get("id"))
        .serverHost("127.0.0.1")
        .serverPort(words.number("port"))
        .automaticReconnect()
        .initialDelay(200, TimeUnit.MILLISECONDS)
        .maxDelay(500, TimeUnit.MILLISECONDS)
        .applyAutomaticReconnect();
    return words.isSet("websocket") ? builder.webSocketConfig().serverPath("mqtt").applyWebSocketConfig() : builder;
  }

  private static String release() {
    Matcher matcher = Pattern.compile("hivemq-mqtt-client-([0-9.]+)\\.jar").matcher(System.getProperty("java.class.path"));
    return matcher.find() ? matcher.group(1) : "unknown";
  }

  private static CompletableFuture<?> carryOut(Map<String, Connection> connections, String verb, Words words) {
    String name = words.get("client");
    if (verb.equals("connect")) {
      connections.put(name, words.number("version") == 5 ? new Version5(words) : new Version3(words));
    }
    Connection connection = connections.get(name);
    return switch (verb) {
      case "connect" -> connection.connect();
      case "subscribe" -> connection.subscribe(words);
      case "publish" -> connection.publish(words);
      default -> connection.disconnect();
    };
  }

  public static void main(String[] args) throws Exception {
    say("ready library=HiveMQ release=" + release());
    Map<String, Connection> connections = new HashMap<>();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] said = line.split(" ");
      Words words = new Words();
      for (int i = 2; i < said.length; i++) {
        int equals = said[i].indexOf('=');
        words.put(said[i].substring(0, equals), said[i].substring(equals + 1));
      }
      carryOut(connections, said[1], words)
          .whenComplete((done, failure) -> say(said[0] + (failure == null ? " ok" : " failed " + failure)));
    }
    System.exit(0);
  }
}
