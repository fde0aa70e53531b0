// Addresses of remote tiers, and that none of them is shown with its password.
#include <gtest/gtest.h>

#include "tier/remote/remote_url.h"

namespace actcache {
namespace {

RemoteUrl Parsed(const std::string& text) {
  RemoteUrl url;
  EXPECT_STREQ(ParseRemoteUrl(text, &url), nullptr) << text;
  return url;
}

TEST(RemoteUrlTest, ReadsAllParts) {
  const RemoteUrl url = Parsed("redis://ann:s%3Acret%40@cache.example:7000/3");
  EXPECT_EQ(url.kind, RemoteUrl::Kind::kTcp);
  EXPECT_EQ(url.user, "ann");
  EXPECT_EQ(url.password, "s:cret@");
  EXPECT_EQ(url.host, "cache.example");
  EXPECT_EQ(url.port, 7000);
  EXPECT_EQ(url.database, 3u);
}

TEST(RemoteUrlTest, WhatIsLeftOutHasADefault) {
  const RemoteUrl url = Parsed("valkey://host");
  EXPECT_EQ(url.kind, RemoteUrl::Kind::kTcp);
  EXPECT_EQ(url.port, 6379);
  EXPECT_EQ(url.database, 0u);
  EXPECT_EQ(url.user + url.password, "");
  EXPECT_EQ(Parsed("redis://host/").database, 0u);
  EXPECT_EQ(Parsed("redis://:pw@host").password, "pw");
}

TEST(RemoteUrlTest, KnowsTlsAndSockets) {
  EXPECT_EQ(Parsed("rediss://host:1").kind, RemoteUrl::Kind::kTls);
  EXPECT_EQ(Parsed("valkeys://[::1]:2").host, "::1");
  EXPECT_EQ(Parsed("valkeys://[::1]:2").port, 2);
  const RemoteUrl local = Parsed("unix://ann:pw@/run/a%20b.sock?db=2");
  EXPECT_EQ(local.kind, RemoteUrl::Kind::kUnix);
  EXPECT_EQ(local.path, "/run/a b.sock");
  EXPECT_EQ(local.user, "ann");
  EXPECT_EQ(local.password, "pw");
  EXPECT_EQ(local.database, 2u);
}

TEST(RemoteUrlTest, RefusesWhatIsNone) {
  for (const char* const text : {"",
                                 "host",
                                 "http://host",
                                 "redis://",
                                 "redis://:1",
                                 "redis://host:0",
                                 "redis://host:65536",
                                 "redis://host:x",
                                 "redis://host/x",
                                 "redis://host/-1",
                                 "redis://[::1",
                                 "redis://a b",
                                 "redis://host?db=1",
                                 "redis://u:%@host",
                                 "redis://u:%0@host",
                                 "redis://u:%00@host",
                                 "unix://",
                                 "unix://relative",
                                 "unix:///s?x=1",
                                 "unix:///s?db=",
                                 "redis://u:%zz@host"}) {
    RemoteUrl url;
    EXPECT_NE(ParseRemoteUrl(text, &url), nullptr) << text;
    EXPECT_EQ(url.host, "") << text;
  }
  RemoteUrl url;
  EXPECT_NE(ParseRemoteUrl("unix:///" + std::string(107, 'a'), &url), nullptr);
  EXPECT_NE(ParseRemoteUrl(std::string("redis://h\0ost", 13), &url), nullptr);
}

TEST(RemoteUrlTest, IsShownWithoutItsPassword) {
  EXPECT_EQ(ShownRemoteUrl("redis://ann:secret@host/1"), "redis://ann:***@host/1");
  EXPECT_EQ(ShownRemoteUrl("redis://:se:cr@et@host"), "redis://:***@host");
  EXPECT_EQ(ShownRemoteUrl("unix://:secret@/run/socket"), "unix://:***@/run/socket");
  EXPECT_EQ(ShownRemoteUrl("redis://host"), "redis://host");
  EXPECT_EQ(ShownRemoteUrl(""), "");
  // What cannot be read may have a password anywhere.
  EXPECT_EQ(ShownRemoteUrl("redis:/ann:secret@host"), "***");
}

}  // namespace
}  // namespace actcache
