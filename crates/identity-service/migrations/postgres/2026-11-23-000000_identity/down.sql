DROP TABLE event_head;
DROP TABLE event;
DROP TABLE outbox;
DROP TABLE group_member;
DROP TABLE scim_group;
DROP TABLE user_key;
DROP TABLE scim_user;
DROP TABLE organization;
