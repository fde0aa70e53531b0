// Which sessions are taken to compute the same.
#include "ops/session_identity.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

namespace actcache {
namespace {

struct Session {
  RegionAttributes attributes;
  SessionSettings settings;
  std::optional<std::string> constants = "constants";

  Session() {
    attributes.fingerprint = "f";
    attributes.all_constants = true;
    settings.runtime = "1.32.0";
    settings.model = "model";
  }
  Digest identity() const { return IdentityOfSession(attributes, settings, constants); }
};

TEST(SessionIdentity, EqualSessionsHaveOne) {
  EXPECT_EQ(Session().identity(), Session().identity());
  Session other;
  other.settings.name_space = "tenant";  // keys cover it
  other.settings.ttl_ns = 5;
  EXPECT_EQ(other.identity(), Session().identity());
}

TEST(SessionIdentity, EachPartCounts) {
  std::set<Digest> seen{Session().identity()};
  Session session;
  session.attributes.fingerprint = "g";
  seen.insert(session.identity());
  session = Session();
  session.settings.runtime = "1.31.0";
  seen.insert(session.identity());
  session = Session();
  session.settings.value_entries = "session.set_denormal_as_zero";
  seen.insert(session.identity());
  session = Session();
  session.settings.model = "another";
  seen.insert(session.identity());
  session = Session();
  session.constants = "others";
  seen.insert(session.identity());
  EXPECT_EQ(seen.size(), 6u);
}

TEST(SessionIdentity, NobodyElseHasThatOfASessionOfWhichSomethingIsNotKnown) {
  Session nothing_stated;
  nothing_stated.settings.model = "";
  Session hidden_constants;
  hidden_constants.constants = std::nullopt;
  Session other_constants;
  other_constants.attributes.all_constants = false;
  for (const Session& session : {nothing_stated, hidden_constants, other_constants}) {
    EXPECT_NE(session.identity(), session.identity());
    EXPECT_NE(session.identity(), Digest{});
  }
}

TEST(SessionIdentity, WhatIsStatedHoldsForTheThread) {
  StateModel("model");
  EXPECT_EQ(StatedModel(), "model");
  StateModel("");
  EXPECT_EQ(StatedModel(), "");
}

}  // namespace
}  // namespace actcache
