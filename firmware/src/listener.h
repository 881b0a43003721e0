/** The model as it listens: samples in, hop by hop, words out.  Of a model that takes no streams it answers nothing. */
#ifndef LISTENER_H
#define LISTENER_H

#include "protocol.h"

#ifdef MODEL_HOP_SIZE
/** What it hears; the scratch serves inference, too.  Declared where model.h is included first. */
extern model_stream_t listener_stream;
#endif

/** Answers LISTEN, SAMPLES and WORDS; every other request is unknown to it. */
answer_t listener_answer(protocol_t *protocol, uint8_t type, uint8_t *payload, uint32_t length);

/** Forgets what it listens to. */
void listener_stop(void);

/** Takes samples of the board's sensor.  Returns 1 while it listens to that, so that the core must not sleep. */
uint32_t listener_poll(void);

#endif
