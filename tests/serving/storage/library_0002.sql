BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE chunks (
	story VARCHAR(12) NOT NULL, 
	position INTEGER NOT NULL, 
	shot INTEGER NOT NULL, 
	take INTEGER NOT NULL, 
	chunk INTEGER NOT NULL, 
	prompt TEXT NOT NULL, 
	first_frame INTEGER NOT NULL, 
	frames INTEGER NOT NULL, 
	last BOOLEAN NOT NULL, 
	file TEXT NOT NULL, 
	CONSTRAINT pk_chunks PRIMARY KEY (story, position), 
	CONSTRAINT fk_chunks_takes FOREIGN KEY(story, shot, take) REFERENCES takes (story, shot, take)
);
INSERT INTO "chunks" VALUES('oldlibrary01',2,0,0,0,'runs',0,8,0,'0-0-0-2.safetensors');
INSERT INTO "chunks" VALUES('oldlibrary01',4,0,0,1,'runs',8,8,0,'0-0-1-4.safetensors');
INSERT INTO "chunks" VALUES('oldlibrary01',6,0,0,2,'runs',16,8,0,'0-0-2-6.safetensors');
CREATE TABLE commands (
	story VARCHAR(12) NOT NULL, 
	position INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	body JSON NOT NULL, 
	receipt JSON NOT NULL, 
	CONSTRAINT pk_commands PRIMARY KEY (story, position), 
	CONSTRAINT fk_commands_stories FOREIGN KEY(story) REFERENCES stories (id), 
	CONSTRAINT uq_commands_story UNIQUE (story, id)
);
INSERT INTO "commands" VALUES('oldlibrary01',0,'shoot 0','{"id": "shoot 0", "type": "shoot", "prompt": "runs", "after": false}','{"type": "receipt", "id": "shoot 0", "applies_from": {"shot": 0, "frame": 8}, "note": null, "story": null}');
INSERT INTO "commands" VALUES('oldlibrary01',1,'pin 1','{"id": "pin 1", "type": "pin", "shot": 0, "frame": 1}','{"type": "receipt", "id": "pin 1", "applies_from": {"shot": 0, "frame": 8}, "note": null, "story": null}');
INSERT INTO "commands" VALUES('oldlibrary01',3,'pin 3','{"id": "pin 3", "type": "pin", "shot": 0, "frame": 3}','{"type": "receipt", "id": "pin 3", "applies_from": {"shot": 0, "frame": 8}, "note": null, "story": null}');
INSERT INTO "commands" VALUES('oldlibrary01',5,'pin 5','{"id": "pin 5", "type": "pin", "shot": 0, "frame": 5}','{"type": "receipt", "id": "pin 5", "applies_from": {"shot": 0, "frame": 8}, "note": null, "story": null}');
CREATE TABLE events (
	number INTEGER NOT NULL, 
	story VARCHAR(12) NOT NULL, 
	moment_seconds DOUBLE NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (number), 
	CONSTRAINT fk_events_stories FOREIGN KEY(story) REFERENCES stories (id)
);
CREATE TABLE shots (
	story VARCHAR(12) NOT NULL, 
	shot INTEGER NOT NULL, 
	card JSON NOT NULL, 
	CONSTRAINT pk_shots PRIMARY KEY (story, shot), 
	CONSTRAINT fk_shots_stories FOREIGN KEY(story) REFERENCES stories (id)
);
INSERT INTO "shots" VALUES('oldlibrary01',0,'{"number": 0, "prompt": "runs", "prompts": [[0, "runs"]], "length_seconds": 5.0, "seed": 7, "take": 0, "takes": 1, "state": "live", "chunks": 3, "frames": 24}');
CREATE TABLE stories (
	id VARCHAR(12) NOT NULL, 
	setting TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	model TEXT NOT NULL, 
	height INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	fps DOUBLE NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT, 
	memory JSON, 
	entries INTEGER NOT NULL, 
	parent_story VARCHAR(12), 
	parent_shot INTEGER, 
	parent_entries INTEGER, 
	created_seconds DOUBLE NOT NULL, 
	changed_seconds DOUBLE NOT NULL, 
	deleted_seconds DOUBLE, title TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_stories PRIMARY KEY (id), 
	CONSTRAINT fk_stories_stories FOREIGN KEY(parent_story) REFERENCES stories (id)
);
INSERT INTO "stories" VALUES('oldlibrary01','a fox',7,'mini',16,32,8.0,'idle',NULL,NULL,7,NULL,NULL,NULL,1700000000.0,1700000000.0,NULL,'The fox');
CREATE TABLE takes (
	story VARCHAR(12) NOT NULL, 
	shot INTEGER NOT NULL, 
	take INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	CONSTRAINT pk_takes PRIMARY KEY (story, shot, take), 
	CONSTRAINT fk_takes_stories FOREIGN KEY(story) REFERENCES stories (id)
);
INSERT INTO "takes" VALUES('oldlibrary01',0,0,7);
COMMIT;
