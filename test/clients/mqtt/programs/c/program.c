/* Drives Paho C's MQTTAsync. */
#include <MQTTAsync.h>
#include <VersionInfo.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { words_max = 32, connections_max = 1000, topics_max = 10, buffered_max = 1000, retry_us = 200000 };

struct words {
  int count;
  char *names[words_max];
  char *values[words_max];
};

struct connection {
  struct words words;
  MQTTAsync client;
  /* The command that connects; free once it is answered. */
  char *connecting;
  /* Aliases of what is published, and of what comes: alias i + 1. */
  char *sent[topics_max];
  char *received[topics_max];
};

static struct connection connections[connections_max];
static int connections_count;

static const char *get(const struct words *words, const char *name) {
  for (int i = 0; i < words->count; i++)
    if (strcmp(words->names[i], name) == 0) return words->values[i];
  return NULL;
}

static int number(const struct words *words, const char *name) {
  const char *value = get(words, name);
  return value == NULL ? 0 : atoi(value);
}

static int is_5(const struct connection *it) { return number(&it->words, "version") == 5; }

/* The library's threads speak as well: a line is written as a whole. */
static void say(const char *format, ...) {
  va_list values;
  va_start(values, format);
  flockfile(stdout);
  vprintf(format, values);
  putchar('\n');
  fflush(stdout);
  funlockfile(stdout);
  va_end(values);
}

/* --- Answers. The context of a command is its id, which is freed with the answer. --- */

static void answer(void *id, int code) {
  if (id == NULL) return;
  if (code == 0) say("%s ok", (char *)id);
  else say("%s failed code %d", (char *)id, code);
  free(id);
}

static void done(void *id, MQTTAsync_successData *data) { answer(id, 0); }
static void done5(void *id, MQTTAsync_successData5 *data) {
  answer(id, data != NULL && data->reasonCode >= 0x80 ? data->reasonCode : 0);
}
static void failed(void *id, MQTTAsync_failureData *data) { answer(id, data == NULL ? -1 : data->code); }
static void failed5(void *id, MQTTAsync_failureData5 *data) { answer(id, data == NULL ? -1 : data->code); }

static MQTTAsync_responseOptions answering(const struct connection *it, const char *id) {
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  options.context = strdup(id);
  if (is_5(it)) {
    options.onSuccess5 = done5;
    options.onFailure5 = failed5;
  } else {
    options.onSuccess = done;
    options.onFailure = failed;
  }
  return options;
}

/* --- Properties --- */

static void add_number(MQTTProperties *properties, enum MQTTPropertyCodes code, int value) {
  MQTTProperty property = {.identifier = code};
  if (code == MQTTPROPERTY_CODE_TOPIC_ALIAS || code == MQTTPROPERTY_CODE_TOPIC_ALIAS_MAXIMUM)
    property.value.integer2 = value;
  else property.value.integer4 = value;
  MQTTProperties_add(properties, &property);
}

static void add_text(MQTTProperties *properties, enum MQTTPropertyCodes code, const char *text) {
  MQTTProperty property = {.identifier = code};
  property.value.data.data = (char *)text;
  property.value.data.len = strlen(text);
  MQTTProperties_add(properties, &property);
}

/* --- Connections, which are made again when they break --- */

static int connect_now(struct connection *it);

static void *connect_later(void *it) {
  usleep(retry_us);
  connect_now(it);
  return NULL;
}

static void retry(struct connection *it) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, connect_later, it) == 0) pthread_detach(thread);
}

static void connected(struct connection *it, int session) {
  say("connected client=%s session=%d", get(&it->words, "client"), session);
  answer(it->connecting, 0);
  it->connecting = NULL;
}

static void on_connected(void *it, MQTTAsync_successData *data) { connected(it, data->alt.connect.sessionPresent); }
static void on_connected5(void *it, MQTTAsync_successData5 *data) { connected(it, data->alt.connect.sessionPresent); }
static void on_refused(void *it, MQTTAsync_failureData *data) { retry(it); }
static void on_refused5(void *it, MQTTAsync_failureData5 *data) { retry(it); }
static void on_lost(void *it, char *cause) { retry(it); }
/* An MQTT 5 server's DISCONNECT, in on_lost's stead. */
static void on_ended(void *it, MQTTProperties *properties, enum MQTTReasonCodes reason) { retry(it); }

static int connect_now(struct connection *it) {
  const struct words *words = &it->words;
  MQTTAsync_connectOptions for_4 = MQTTAsync_connectOptions_initializer;
  MQTTAsync_connectOptions for_5 = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_connectOptions options = is_5(it) ? for_5 : for_4;
  MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperties will_properties = MQTTProperties_initializer;
  options.context = it;
  if (is_5(it)) {
    /* A later connection of the same client goes on with its session. */
    options.cleanstart = it->connecting != NULL && number(words, "clean");
    options.onSuccess5 = on_connected5;
    options.onFailure5 = on_refused5;
    if (get(words, "expiry"))
      add_number(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, number(words, "expiry"));
    if (get(words, "aliases"))
      add_number(&properties, MQTTPROPERTY_CODE_TOPIC_ALIAS_MAXIMUM, number(words, "aliases"));
    options.connectProperties = &properties;
  } else {
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.cleansession = number(words, "clean");
    options.onSuccess = on_connected;
    options.onFailure = on_refused;
  }
  if (get(words, "willTopic")) {
    will.topicName = get(words, "willTopic");
    will.message = get(words, "willPayload");
    will.qos = number(words, "willQos");
    options.will = &will;
    if (get(words, "willDelay"))
      add_number(&will_properties, MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL, number(words, "willDelay"));
    if (is_5(it)) options.willProperties = &will_properties;
  }
  int code = MQTTAsync_connect(it->client, &options);
  MQTTProperties_free(&properties);
  MQTTProperties_free(&will_properties);
  return code;
}

/* The library hands messages on without a topic where it came as an alias. */
static const char *topic_of(struct connection *it, const char *topic, const MQTTProperties *properties) {
  if (!MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_TOPIC_ALIAS)) return topic;
  int i = (int)MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_TOPIC_ALIAS) - 1;
  if (topic[0] == '\0') return it->received[i];
  free(it->received[i]);
  return it->received[i] = strdup(topic);
}

static int on_message(void *context, char *topic, int length, MQTTAsync_message *message) {
  struct connection *it = context;
  MQTTProperty *id = MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER);
  MQTTProperty *response = MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC);
  MQTTProperty *correlation = MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_CORRELATION_DATA);
  flockfile(stdout);
  printf("message client=%s topic=%s qos=%d retain=%d payload=%.*s", get(&it->words, "client"),
         topic_of(it, topic, &message->properties), message->qos, message->retained, message->payloadlen,
         (char *)message->payload);
  if (id) printf(" ids=%u", id->value.integer4);
  if (response) printf(" response=%.*s", response->value.data.len, response->value.data.data);
  if (correlation) printf(" correlation=%.*s", correlation->value.data.len, correlation->value.data.data);
  putchar('\n');
  fflush(stdout);
  funlockfile(stdout);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

/* --- Commands: each returns the library's code, and answers itself if that is 0 --- */

static int start(struct connection *it, const char *id) {
  const struct words *words = &it->words;
  char url[100];
  snprintf(url, sizeof url, "%s://127.0.0.1:%s", get(words, "websocket") ? "ws" : "tcp", get(words, "port"));
  MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
  options.MQTTVersion = is_5(it) ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
  options.sendWhileDisconnected = 1;
  options.maxBufferedMessages = buffered_max;
  int code = MQTTAsync_createWithOptions(&it->client, url, get(words, "id"), MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
  if (code == 0) code = MQTTAsync_setCallbacks(it->client, it, on_lost, on_message, NULL);
  if (code == 0) code = MQTTAsync_setDisconnected(it->client, it, on_ended);
  if (code != 0) return code;
  it->connecting = strdup(id);
  return connect_now(it);
}

static int subscribe(struct connection *it, const char *id, const struct words *words) {
  MQTTAsync_responseOptions options = answering(it, id);
  if (get(words, "identifier"))
    add_number(&options.properties, MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER, number(words, "identifier"));
  int code = MQTTAsync_subscribe(it->client, get(words, "filter"), number(words, "qos"), &options);
  MQTTProperties_free(&options.properties);
  return code;
}

/* What to send as topic; the alias goes to the properties. */
static const char *by_alias(struct connection *it, const char *topic, MQTTProperties *properties) {
  for (int i = 0; i < topics_max; i++) {
    int is_known = it->sent[i] != NULL;
    if (is_known && strcmp(it->sent[i], topic) != 0) continue;
    if (!is_known) it->sent[i] = strdup(topic);
    add_number(properties, MQTTPROPERTY_CODE_TOPIC_ALIAS, i + 1);
    return is_known ? "" : topic;
  }
  return topic;
}

static int publish(struct connection *it, const char *id, const struct words *words) {
  MQTTAsync_responseOptions options = answering(it, id);
  MQTTAsync_message message = MQTTAsync_message_initializer;
  const char *topic = get(words, "topic");
  message.payload = (void *)get(words, "payload");
  message.payloadlen = (int)strlen(message.payload);
  message.qos = number(words, "qos");
  message.retained = number(words, "retain");
  if (get(&it->words, "byAlias")) topic = by_alias(it, topic, &message.properties);
  if (get(words, "response")) {
    add_text(&message.properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC, get(words, "response"));
    add_text(&message.properties, MQTTPROPERTY_CODE_CORRELATION_DATA, get(words, "correlation"));
  }
  int code = MQTTAsync_sendMessage(it->client, topic, &message, &options);
  MQTTProperties_free(&message.properties);
  return code;
}

static int disconnect(struct connection *it, const char *id) {
  MQTTAsync_disconnectOptions for_4 = MQTTAsync_disconnectOptions_initializer;
  MQTTAsync_disconnectOptions for_5 = MQTTAsync_disconnectOptions_initializer5;
  MQTTAsync_disconnectOptions options = is_5(it) ? for_5 : for_4;
  options.context = strdup(id);
  options.timeout = 1000;
  if (is_5(it)) {
    options.onSuccess5 = done5;
    options.onFailure5 = failed5;
  } else {
    options.onSuccess = done;
    options.onFailure = failed;
  }
  return MQTTAsync_disconnect(it->client, &options);
}

static struct words words_of(char *text) {
  struct words words = {0};
  for (char *word = strtok(text, " "); word != NULL && words.count < words_max; word = strtok(NULL, " ")) {
    char *equals = strchr(word, '=');
    *equals = '\0';
    words.names[words.count] = word;
    words.values[words.count++] = equals + 1;
  }
  return words;
}

/* The newest of the name. */
static struct connection *find(const char *client) {
  for (int i = connections_count - 1; i >= 0; i--)
    if (strcmp(get(&connections[i].words, "client"), client) == 0) return &connections[i];
  return NULL;
}

int main(void) {
  say("ready library=paho-c release=%s", CLIENT_VERSION);
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    line[strcspn(line, "\n")] = '\0';
    char *id = line;
    char *verb = strchr(line, ' ') + 1;
    verb[-1] = '\0';
    char *rest = strchr(verb, ' ') + 1;
    rest[-1] = '\0';
    int code;
    if (strcmp(verb, "connect") == 0) {
      struct connection *it = &connections[connections_count];
      /* Kept as long as the connection. */
      it->words = words_of(strdup(rest));
      connections_count++;
      code = start(it, id);
    } else {
      struct words words = words_of(rest);
      struct connection *it = find(get(&words, "client"));
      if (strcmp(verb, "subscribe") == 0) code = subscribe(it, id, &words);
      else if (strcmp(verb, "publish") == 0) code = publish(it, id, &words);
      else code = disconnect(it, id);
    }
    if (code != 0) say("%s failed code %d", id, code);
  }
  return 0;
}
